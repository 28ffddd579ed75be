//! `cargo lab restart`: the table of the README is that of the program, and what is to cost no packet costs none.

use std::fs;

use labs::restart::event::{EVENTS, Event};

#[test]
fn the_table_of_the_readme_has_what_the_program_prints() {
    let readme = fs::read_to_string(labs::program::workspace().join("README.md")).unwrap();
    let head = "| packets lost of 1 000 a second each way | from the pod | to the pod |\n|---|---|---|\n";
    let (_, table) = readme.split_once(head).expect("the table's head");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let names: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(names, EVENTS.map(Event::what));
    for (row, event) in rows.iter().zip(EVENTS) {
        let free = row[1..].iter().flat_map(|cell| cell.split(", ")).all(|lost| lost == "0");
        assert!(free || !event.is_free(), "{row:?}");
    }
}

mod interop {
    use labs::program::program;
    use labs::restart::event::Event;
    use labs::restart::measure::losses;

    #[test]
    fn nothing_is_lost_by_what_is_planned() {
        labs::require!("root", "bird");
        labs::sandbox!(|sandbox| {
            let underlay = program("underlay");
            let events = [Event::Upgrade, Event::Password, Event::Source];
            for (run, event) in (1..).zip(events) {
                let lost = losses(sandbox, event, &underlay, run).unwrap();
                eprintln!("{}: {lost:?}", event.what());
                assert_eq!(lost, [0, 0], "{}", event.what());
            }
        });
    }
}

mod clusters {
    use labs::program::program;
    use labs::restart::event::Event;
    use labs::restart::measure::losses;

    #[test]
    fn nothing_is_lost_without_the_api_server() {
        labs::require!("root", "bird", "kubernetes");
        labs::sandbox!(|sandbox| {
            let lost = losses(sandbox, Event::ApiServer, &program("underlay"), 1).unwrap();
            assert_eq!(lost, [0, 0]);
        });
    }
}
