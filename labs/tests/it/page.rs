//! The page for operators shows the routers that the lab runs.

use std::fs;

use labs::program;

#[test]
fn the_routers_of_the_operators_page_are_those_of_the_lab() {
    let read = |file: &str| fs::read_to_string(program::workspace().join(file)).unwrap();
    let page = read("manifests/bare-metal.md");
    for (language, count, file) in
        [("bird", 3, "labs/kubernetes/tor1.conf"), ("frr", 2, "labs/kubernetes/tor2.conf")]
    {
        let whole = read(file);
        let start = format!("\n```{language}\n");
        let blocks: Vec<&str> =
            page.split(&start).skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect();
        assert_eq!(blocks.len(), count, "{language}");
        for block in blocks {
            assert!(whole.contains(block), "{file} has no longer\n{block}");
        }
    }
}
