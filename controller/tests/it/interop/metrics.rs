//! The metrics of an agent beside BIRD, scraped over TCP: what they say is what the kernel and the session are.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use labs::bird::Bird;

use super::bird::{FAR_V4, FAR_V6, config, manifest, rack};
use super::node::Node;

/// A page of the agent in this node; what went wrong if there is none.
fn scrape(node: &Node, address: &str) -> Result<String, String> {
    let page = || {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n")?;
        let mut page = String::new();
        stream.read_to_string(&mut page).map(|_| page)
    };
    node.netns.enter(page).map_err(|error| error.to_string())
}

#[track_caller]
fn until_page(node: &Node, lines: &[&str]) {
    node.until(&format!("a page with {lines:?}"), || {
        let page = scrape(node, "127.0.0.1:9179")?;
        let missing = lines.iter().find(|line| !page.lines().any(|there| there == **line));
        missing.map_or(Ok(()), |line| Err(format!("no {line} in\n{page}")))
    });
}

#[test]
fn the_metrics_follow_the_session_and_the_kernel() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (node, router) = rack(sandbox);
        let bird = Bird::start(sandbox, &router, "bird", &config("10.0.1.2", true));
        let mut node = Node::start(sandbox, node, "node", &manifest("10.0.1.1", ""));
        until_page(
            &node,
            &[
                "underlay_bgp_session_up{peer=\"tor\"} 1",
                "underlay_bgp_session_transitions_total{peer=\"tor\",to=\"Established\",reason=\"\"} 1",
                "underlay_bgp_routes{peer=\"tor\",family=\"ipv6\",table=\"accepted\"} 1",
                "underlay_fib_routes{family=\"ipv4\",state=\"installed\"} 1",
            ],
        );
        // Routes of one turn are timed together, and one that comes with its next hop still unknown is written later.
        node.until("what the kernel said, and when", || {
            let page = scrape(&node, "127.0.0.1:9179")?;
            let of = |series: &str| {
                let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
                line.and_then(|value| value.parse::<u64>().ok()).unwrap_or_default()
            };
            let written = of("underlay_fib_operations_total{op=\"install\",result=\"ok\"}");
            let timed = of("underlay_update_to_kernel_seconds_count");
            if written >= 2 && timed >= 1 { Ok(()) } else { Err(page) }
        });
        node.until_route(FAR_V4, true);
        node.until_route(FAR_V6, true);
        bird.birdc("disable node");
        until_page(
            &node,
            &[
                "underlay_bgp_session_up{peer=\"tor\"} 0",
                "underlay_bgp_session_transitions_total{peer=\"tor\",to=\"Active\",reason=\"notification-received\"} 1",
                "underlay_fib_routes{family=\"ipv4\",state=\"installed\"} 0",
                "underlay_fib_operations_total{op=\"remove\",result=\"ok\"} 2",
            ],
        );
        // An address that is not this node's: routes are as ever, and the status says why there are no metrics.
        node.agent.terminate();
        bird.birdc("enable node");
        node.restart_with(sandbox, "node", &["--metrics", "192.0.2.77:9179"]);
        node.until_route(FAR_V4, true);
        node.until("the status to say it", || {
            let status = node.ask("status");
            if status.contains("metrics: 192.0.2.77:9179: Cannot assign") { Ok(()) } else { Err(status) }
        });
        scrape(&node, "127.0.0.1:9179").unwrap_err();
    });
}
