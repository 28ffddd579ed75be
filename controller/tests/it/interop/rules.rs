//! Import and export rules towards BIRD, changed while the session is up.

use super::bird::{FAR_V4, FAR_V6, POD_V4, POD_V6, manifest, start, until_bird};

/// The node's manifest with further lines of the FabricPeer.
fn with(lines: &str) -> String {
    manifest("10.0.1.1", "").replace("asn: 65100}", &format!("asn: 65100, {lines}}}"))
}

#[test]
fn rules_change_what_is_learned_and_sent_without_a_new_session() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (node, bird) = start(sandbox, false);
        node.until_route(FAR_V4, true);
        node.until_route(FAR_V6, true);
        until_bird(&node, &bird, POD_V4, Some("BGP.as_path: 65001"));

        node.apply(&with(
            r#"import: [{match: {prefixes: [{cidr: 10.244.0.0/16, ge: 24}]}, action: Reject},
                {match: {asPath: "65100 *"}, action: Accept, set: {localPreference: 250, addCommunities: ["65001:9"]}}],
            export: [{match: {prefixes: [{cidr: 10.244.0.0/16, le: 24}], origin: PodCIDR}, action: Accept,
                set: {prepend: 2, med: 77, addCommunities: ["65001:5", "65001:1:2"]}}, {action: Reject}]"#,
        ));
        node.until_route(FAR_V4, false);
        until_bird(&node, &bird, POD_V6, None);
        until_bird(&node, &bird, POD_V4, Some("BGP.as_path: 65001 65001 65001"));
        until_bird(&node, &bird, POD_V4, Some("BGP.med: 77"));
        until_bird(&node, &bird, POD_V4, Some("(65001,5)"));
        until_bird(&node, &bird, POD_V4, Some("(65001, 1, 2)"));
        node.until_route(FAR_V6, true);

        let refused = node.ask(&format!("explain {FAR_V4}"));
        let why = "rejected  import-rule: import rule 1: prefix 10.244.0.0/16 ge 24 le 32";
        assert!(refused.contains(why), "{refused}");
        let changed = node.ask(&format!("explain {FAR_V6}"));
        let what = "accepted  import rule 2 (AS path \"65100 *\"): local-preference 250, +65001:9";
        assert!(changed.contains(what), "{changed}");
        let kept = node.ask(&format!("explain {POD_V6}"));
        assert!(kept.contains("not advertised: export-rule: export rule 2: any path"), "{kept}");
        let json = node.ask(&format!("explain {FAR_V6} -o json"));
        assert!(
            json.contains("\"local_preference\": 250") || json.contains("\"local_preference\":250"),
            "{json}"
        );

        node.apply(&with("disabled: false"));
        node.until_route(FAR_V4, true);
        until_bird(&node, &bird, POD_V6, Some("BGP.as_path: 65001"));
        node.until("the AS_PATH as it was", || {
            let shown = bird.birdc("show route all");
            if shown.contains("65001 65001") { Err(shown) } else { Ok(()) }
        });
        assert_eq!(node.transitions("Established"), 1, "one session:\n{}", node.agent.log());
    });
}
