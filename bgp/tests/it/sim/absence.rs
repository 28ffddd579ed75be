//! What a router that is away leaves with others: to whom it is told of, and for how long.

use bgp::prefix::{Family, PerFamily};
use bgp::time::Duration;

use super::network::{Network, address};
use super::watch::{Content, Violation};

/// What delays, stalls and turns may add to the times of a restart.
const SLACK: Duration = Duration::from_secs(30);

impl Network {
    /// Whether a router offers another one to take long-lived stale routes.
    pub(super) fn takes_long_lived(&self, router: usize, from: usize) -> bool {
        let peers = &self.routers[router].config.peers;
        peers.iter().any(|peer| peer.address == address(from) && peer.restart.long_lived > 0)
    }

    /// RFC 9494 §4.3: a long-lived stale route goes to those alone that have offered to take it.
    pub(super) fn told_of_stale(
        &mut self,
        router: usize,
        to: usize,
        content: &Content,
    ) -> Result<(), Violation> {
        if !content.long_lived {
            return Ok(());
        }
        self.checked.count("stale-to-whom-takes-it");
        if self.takes_long_lived(to, router) {
            return Ok(());
        }
        let text = format!("{:?} is long-lived stale, and told to {to}", content.announced);
        Err(Violation { invariant: "stale-to-whom-takes-it", text })
    }

    /// A router that was away comes back: after hold time, restart time and stale time
    /// nobody has kept anything of it.
    pub(super) fn came_back(&mut self, router: usize) {
        let away = self.now - self.routers[router].gone_at;
        for other in (0..self.routers.len()).filter(|other| *other != router) {
            let target = &self.routers[other];
            if !target.up || target.stalled_until + SLACK > self.now {
                continue;
            }
            let Some(peer) = target.config.peers.iter().find(|peer| peer.address == address(router)) else {
                continue;
            };
            let times = u64::from(peer.restart.seconds) + u64::from(peer.restart.long_lived);
            if away <= peer.timers.hold + Duration::from_secs(times) + SLACK {
                continue;
            }
            self.checked.count("nothing-kept-for-ever");
            let view = self.peer(other, router);
            if Family::ALL.iter().any(|family| view.stale[*family] > 0)
                || view.kept_until.is_some()
                || view.long_lived_until != PerFamily::default()
            {
                let text =
                    format!("keeps {:?} of {router} after {away:?}: {:?}", view.stale, view.kept_until);
                let violation = Violation { invariant: "nothing-kept-for-ever", text };
                self.judge(other, Err(violation));
            }
        }
    }
}
