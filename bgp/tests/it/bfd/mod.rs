//! BFD: octets, the machine's table, and pairs of sessions on a virtual clock.

mod packet;
mod pair;
mod session;

use bgp::bfd::{Diagnostic, Packet, State};
use bgp::time::Duration;

/// What a session of 300 ms says in Down.
fn packet() -> Packet {
    Packet {
        diagnostic: Diagnostic::NONE,
        state: State::Down,
        poll: false,
        last: false,
        independent: false,
        demand: false,
        multiplier: 3,
        my: 7,
        your: 0,
        desired_min_tx: Duration::from_secs(1),
        required_min_rx: Duration::from_millis(300),
        required_min_echo_rx: Duration::ZERO,
    }
}
