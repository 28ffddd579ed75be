//! From a life that fails to a smaller one that fails by the same invariant.

use std::time::Duration;

use super::plan::Life;

/// Leaves out steps, routers and waits as long as it still fails.
pub(crate) fn shrink(life: &Life, fails: impl Fn(&Life) -> bool) -> Life {
    let mut small = life.clone();
    loop {
        let before = small.clone();
        leave_out_steps(&mut small, &fails);
        leave_out_routers(&mut small, &fails);
        leave_out_waits(&mut small, &fails);
        if small == before {
            return small;
        }
    }
}

/// Runs of steps, of half the length each time.
fn leave_out_steps(small: &mut Life, fails: &impl Fn(&Life) -> bool) {
    let mut run = small.steps.len().div_ceil(2);
    while run > 0 {
        let mut at = 0;
        while at < small.steps.len() {
            let mut next = small.clone();
            let gone = next.steps.drain(at..(at + run).min(next.steps.len()));
            let waited: Duration = gone.map(|step| step.after).sum();
            // What follows still comes at its time.
            if let Some(step) = next.steps.get_mut(at) {
                step.after += waited;
            }
            if fails(&next) {
                *small = next;
            } else {
                at += run;
            }
        }
        run /= 2;
    }
}

fn leave_out_routers(small: &mut Life, fails: &impl Fn(&Life) -> bool) {
    for routers in 3..small.routers {
        let next = Life { routers, ..small.clone() };
        if fails(&next) {
            *small = next;
            return;
        }
    }
}

fn leave_out_waits(small: &mut Life, fails: &impl Fn(&Life) -> bool) {
    for at in 0..small.steps.len() {
        let mut next = small.clone();
        if core::mem::take(&mut next.steps[at].after) > Duration::ZERO && fails(&next) {
            *small = next;
        }
    }
}
