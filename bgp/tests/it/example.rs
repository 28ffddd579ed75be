//! The example does what it says.

#[path = "../../examples/two_speakers.rs"]
#[expect(dead_code, reason = "its `main` prints what `run` gives")]
mod two_speakers;

#[test]
fn two_speakers_install_each_others_prefix() {
    assert_eq!(two_speakers::run(), ["0: 10.244.1.0/24 by 10.0.0.2", "1: 10.244.0.0/24 by 10.0.0.1"]);
}
