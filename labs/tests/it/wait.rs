//! Waiting ends with a value, or with what was seen last.

use std::time::Duration;

use labs::wait;

#[test]
fn a_wait_ends_with_the_value() {
    let mut looks = 0;
    let value = wait::until("three looks", Duration::from_secs(5), || {
        looks += 1;
        (looks == 3).then_some("there")
    });
    assert_eq!((value, looks), ("there", 3));
}

#[test]
fn a_wait_that_fails_says_what_was_seen_last() {
    let mut looks = 0;
    let error = wait::attempt("a miracle", Duration::from_millis(30), || {
        looks += 1;
        Err::<(), _>(format!("look {looks}"))
    })
    .unwrap_err();
    assert!(error.contains("a miracle") && error.ends_with(&format!("look {looks}")), "{error}");
    assert!(looks > 1);
}
