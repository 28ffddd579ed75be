//! The README's table of reasons is the vocabulary itself.

use bgp::reason::Reason;

const START: &str = "<!-- reasons -->";
const END: &str = "<!-- end of reasons -->";

#[test]
fn the_readme_lists_every_reason() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let (_, rest) = readme.split_once(START).unwrap();
    let (table, _) = rest.split_once(END).unwrap();
    let row = |reason: &Reason| format!("| `{}` | {} |\n", reason.word(), reason.says());
    let rows: String = Reason::ALL.iter().map(row).collect();
    let expected = format!("\n| word | what it says |\n|---|---|\n{rows}");
    assert_eq!(table, expected, "the table between the two comments is to be\n{expected}");
}
