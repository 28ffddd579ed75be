//! A busy agent is recorded, and the recording gives the same effects again.

use std::fs;
use std::process::{Command, Output};

use super::fault::scene::{FAR, Scene, config, manifest};

fn replay(file: &std::path::Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_underlay")).arg("replay").arg(file).output().unwrap()
}

#[test]
fn routes_that_flap_are_recorded_and_replayed() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let mut scene = Scene::start(sandbox, &manifest(""), "");
        let file = sandbox.folder().join("recording");
        scene.node.restart_recorded(sandbox, "node", &file);
        // Two hundred routes come and go, the session is reset, our own prefixes change.
        let many: String = (0..200).map(|n| format!("route 10.244.{n}.128/25 blackhole;")).collect();
        for round in 0..4 {
            scene.bird.configure(&config(&many));
            scene.node.until_route("10.244.199.128/25 via 10.0.1.1", true);
            scene
                .node
                .apply(&manifest(&format!("advertise: {{prefixes: [{{prefix: 10.244.200.{round}/32}}]}}")));
            scene.node.until("the new prefix at BIRD", || {
                let shown = scene.bird.birdc("show route all");
                if shown.contains(&format!("10.244.200.{round}/32")) { Ok(()) } else { Err(shown) }
            });
            scene.bird.configure(&config(""));
            scene.node.until_route("10.244.199.128/25", false);
            scene.bird.birdc("restart node");
            scene.node.until("the end of the session", || scene.node.transitions("Active") > round);
            scene.node.until_route(FAR, true);
        }
        scene.node.agent.terminate();

        let output = replay(&file);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let turns: u64 = said.split(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("{output:?}"));
        assert!(output.status.success() && said.contains("turns agree"), "{output:?}");
        assert!(turns > 50, "{said}");

        // One next hop fewer, and the turn that follows from it is named.
        let text = fs::read_to_string(&file).unwrap();
        let changed = text.replacen("\"metric\":0", "\"metric\":null", 1);
        assert_ne!(changed, text);
        fs::write(&file, changed).unwrap();
        let output = replay(&file);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("differs;") && said.contains(": turn "), "{said}");
    });
}
