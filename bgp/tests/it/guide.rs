//! The table of RFCs in the crate's documentation: complete, and true.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The rows of the table: an RFC, the modules that obey it, the tests that hold it.
fn rows() -> BTreeMap<u32, (Vec<String>, Vec<String>)> {
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let text = fs::read_to_string(root().join("src/lib.rs")).expect("the crate's documentation");
    let mut rows = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("//! | ")) {
        let cells: Vec<&str> = line.split(" | ").collect();
        let [rfc, _, modules, tests] = cells[..] else { continue };
        let Ok(rfc) = rfc.parse() else { continue };
        let before = rows.insert(rfc, (quoted(modules), quoted(tests)));
        assert!(before.is_none(), "RFC {rfc} has two rows");
    }
    rows
}

/// What a reason's document cites is what its long form names.
#[test]
fn each_reason_with_an_rfc_names_its_section() {
    let source = fs::read_to_string(root().join("src/reason.rs")).expect("the vocabulary");
    let mut cited = None;
    let mut with = 0;
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("/// ") {
            cited = text.contains("RFC ").then_some(text);
        }
        let Some((_, rest)) = line.split_once(" = \"").filter(|_| line.ends_with("\";")) else { continue };
        let word = rest.split('"').next().unwrap_or_default();
        let reason = bgp::reason::Reason::ALL.iter().find(|reason| reason.word() == word).expect("a reason");
        let named =
            reason.rfc().map(|rfc| rfc.replacen(' ', "_", 1).replacen(' ', " §", 1).replace('_', " "));
        match (cited.take(), named) {
            (None, None) => {}
            (Some(text), Some(named)) if text.contains(&named) => {
                with += 1;
                assert!(
                    reason
                        .cited(reason.says())
                        .ends_with(&format!(" ({})", reason.rfc().unwrap_or_default()))
                );
            }
            (text, named) => panic!("{word}: its document says {text:?}, its long form {named:?}"),
        }
    }
    assert!(with > 30, "{with}");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The file of a module below a folder.
fn file(folder: &str, module: &str) -> Option<PathBuf> {
    let base = root().join(folder).join(module.replace("::", "/"));
    [base.with_extension("rs"), base.join("mod.rs")].into_iter().find(|file| file.exists())
}

/// Every file of Rust below a folder.
fn sources(folder: &Path, into: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, into)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
    Ok(())
}

/// All RFCs that a text names.
fn cited(text: &str) -> BTreeSet<u32> {
    let number = |rest: &str| rest.get(..4).and_then(|number| number.parse().ok());
    text.split("RFC ").skip(1).filter_map(number).collect()
}

#[test]
fn each_rfc_that_the_code_names_has_a_row() {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files).expect("the sources");
    let text = |file: &PathBuf| fs::read_to_string(file).expect("a source");
    let named: BTreeSet<u32> = files.iter().flat_map(|file| cited(&text(file))).collect();
    // What others have that is not here: a limit in another message, next hops of another family.
    let foreign = BTreeSet::from([5291, 8950]);
    let rows: BTreeSet<u32> = rows().into_keys().collect();
    let missing: Vec<_> = named.difference(&rows).filter(|rfc| !foreign.contains(rfc)).collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
    // GTSM is the caller's.
    let silent: Vec<_> = rows.difference(&named).filter(|rfc| **rfc != 5082).collect();
    assert!(silent.is_empty(), "rows for {silent:?}, which nothing names");
}

#[test]
fn modules_and_tests_of_the_table_exist() {
    let rows = rows();
    assert!(rows.len() > 30, "{} rows", rows.len());
    for (rfc, (modules, tests)) in rows {
        assert!(!modules.is_empty() && !tests.is_empty(), "RFC {rfc}");
        for module in &modules {
            let found = file("src", module).unwrap_or_else(|| panic!("RFC {rfc}: no module `{module}`"));
            // The RFC stands at the line, in the module's own file or in one below it.
            let mut files = vec![found.clone()];
            if found.ends_with("mod.rs") {
                sources(found.parent().expect("a folder"), &mut files).expect("the sources");
            }
            let names = |file: &PathBuf| cited(&fs::read_to_string(file).expect("a source")).contains(&rfc);
            assert!(rfc == 5082 || files.iter().any(names), "RFC {rfc} is not named in `{module}`");
        }
        for test in &tests {
            let is_test =
                |file: PathBuf, what: &str| fs::read_to_string(file).expect("a test").contains(what);
            let whole = file("tests/it", test)
                .is_some_and(|file| file.ends_with("mod.rs") || is_test(file, "#[test]"));
            let one = test
                .rsplit_once("::")
                .and_then(|(module, name)| Some(is_test(file("tests/it", module)?, &format!("fn {name}()"))));
            assert!(whole || one == Some(true), "RFC {rfc}: no test `{test}`");
        }
    }
}
