//! What the normaliser changes, and what it must leave.

use labs::normal::normal;

#[test]
fn what_differs_from_run_to_run_gets_a_name() {
    let kinds = [
        ("up 3s", "up <duration>"),
        ("up 3h12m, since", "up <duration>, since"),
        ("retry in 12s", "retry in <duration>"),
        ("at 2026-11-22T03:56:39.485267Z", "at <time>"),
        ("\"version\": \"0.1.0\",", "\"version\": \"<version>\","),
        ("underlay v1.20.3", "underlay <version>"),
        ("(pid=4711)", "(<pid>)"),
    ];
    for (text, expected) in kinds {
        assert_eq!(normal(text), format!("{expected}\n"));
    }
}

#[test]
fn everything_else_stays() {
    let line = "n11 tor1 10.0.1.1 65101 Established 6 4 as-loop: own AS 65001 fd00::1 10.244.1.0/24 4271 9.1.2 metric 190 s";
    assert_eq!(normal(line), format!("{line}\n"));
}

#[test]
fn columns_may_be_wider_and_indents_count() {
    assert_eq!(normal("a   b\n  c    d  \n"), "a b\n  c d\n");
}
