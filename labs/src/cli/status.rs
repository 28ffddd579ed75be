//! `cargo lab status [NAME]`.

use std::process::ExitCode;

use crate::lab::Lab;
use crate::process::Process;
use crate::state;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The lab; without it, all that are up
    lab: Option<String>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let rows = match &args.lab {
        Some(name) => nodes(&Lab::open(name)?),
        None => labs()?,
    };
    super::console::print(&table(&rows))?;
    Ok(ExitCode::SUCCESS)
}

fn labs() -> anyhow::Result<Vec<Vec<String>>> {
    let mut rows = vec![["LAB", "NODES", "STATE", "FILE"].map(String::from).to_vec()];
    for state in state::all()? {
        let word = match state.owner {
            None => "up",
            Some(owner) if owner.alive() => "owned",
            Some(_) => "left",
        };
        let count = state.nodes.len().to_string();
        rows.push(vec![state.name, count, word.into(), state.file.display().to_string()]);
    }
    Ok(rows)
}

fn nodes(lab: &Lab) -> Vec<Vec<String>> {
    let mut rows = vec![["NODE", "IMAGE", "PROGRAM", "NETNS", "PID"].map(String::from).to_vec()];
    for (name, node) in &lab.state().nodes {
        let held = node.init.is_some_and(Process::alive);
        let program = match lab.runs(name) {
            _ if !held => "gone",
            None => "none",
            Some(true) => "running",
            Some(false) => "ended",
        };
        let pid = node.init.map_or_else(|| "-".into(), |init| init.pid.to_string());
        rows.push(vec![name.clone(), node.image.clone(), program.into(), node.netns.clone(), pid]);
    }
    rows
}

/// Columns as wide as their widest cell, two blanks apart.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}
