//! The interoperability matrix that the tests of this run have found, cell by cell, as a table.

/// The table of lines `DAEMON\tFEATURE\tFAMILY\tCELL`, in the order in which daemons and features came; nothing of none.
pub(super) fn table(lines: &str) -> String {
    let cells: Vec<Vec<&str>> = lines.lines().map(|line| line.split('\t').collect()).collect();
    let (mut daemons, mut rows) = (Vec::new(), Vec::new());
    for cell in &cells {
        let [daemon, feature, family, _] = cell[..] else { continue };
        if !daemons.contains(&daemon) {
            daemons.push(daemon);
        }
        if !rows.contains(&(feature, family)) {
            rows.push((feature, family));
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    daemons.sort_unstable();
    let width = rows.iter().map(|(feature, _)| feature.len()).max().unwrap_or_default().max("feature".len());
    let head: String = daemons.iter().map(|daemon| format!("  {daemon:<8}")).collect();
    let mut text = format!("  {:width$}  family{head}\n", "feature");
    for (feature, family) in rows {
        let found = |daemon: &str| {
            let cell = cells.iter().find(|cell| cell[..3] == [daemon, feature, family]);
            cell.and_then(|cell| cell.get(3).copied()).unwrap_or("-")
        };
        let row: String = daemons.iter().map(|daemon| format!("  {:<8}", found(daemon))).collect();
        text += &format!("  {feature:width$}  {family:6}{row}\n");
    }
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn a_row_a_feature_and_a_column_a_daemon() {
        let lines = "frr\tMED\tIPv4\tpass\nfrr\tMED\tIPv6\tfail\nbird\tMED\tIPv4\tn/a\n";
        let expected = "  feature  family  bird      frr\n  \
                        MED      IPv4    n/a       pass\n  \
                        MED      IPv6    -         fail\n";
        assert_eq!(table(lines), expected);
        assert_eq!(table(""), "");
    }
}
