//! An API server that is gone, or that is not believed.

use std::fs;
use std::process::Command;

use labs::wait;

use super::{Agent, LIMIT, World};

#[test]
fn nothing_that_works_stops_without_the_api_server() {
    labs::require!("root", "kubernetes", "bird");
    labs::sandbox!(|sandbox| {
        let (mut world, _bird) = World::routed(sandbox);
        let mut agent = world.settled_agent();
        assert!(agent.daemon.log().contains("\"event\":\"api-server\""), "{}", agent.daemon.log());

        world.api.kill();
        agent.until("status", "is not reachable");
        agent.until("peers", "Established");

        // Started without the API server, the agent goes by what it has kept.
        agent.daemon.kill();
        let mut agent = world.agent("n1");
        agent.until("status", "running from checkpoint");
        agent.until("peers", "Established");

        // What it has kept is no use: neither is taken for more than it is, and the kernel keeps what it has.
        let checkpoint = agent.state.join("checkpoint.json");
        let kept = fs::read_to_string(&checkpoint).unwrap();
        let routes = || world.node.ip("route show proto 171");
        let before = routes();
        assert!(before.contains("10.244.9.0/24 via 10.0.1.1"), "{before}");
        for (text, words) in [
            (kept[..kept.len() / 2].to_owned(), "is damaged"),
            (kept.replacen("\"version\":1", "\"version\":0", 1), "is of version 0, this agent reads 1"),
            (kept.replacen("\"version\":1", "\"version\":2", 1), "is of version 2, this agent reads 1"),
        ] {
            assert_ne!(text, kept);
            agent.daemon.kill();
            fs::write(&checkpoint, text).unwrap();
            agent = world.agent("n1");
            agent.until("status", words);
            agent.until("status", "is not reachable");
            assert_eq!(routes(), before, "{}", agent.daemon.log());
        }

        // A server that lives and does not answer is no better.
        world.api.start_again(&[]);
        agent.until("status", "True");
        wait::until("the source whole again", LIMIT, || !agent.ask("status").contains("checkpoint"));
        agent.until("peers", "Established");
        wait::until("a checkpoint that is of use", LIMIT, || {
            fs::read_to_string(&checkpoint).is_ok_and(|text| text.contains("\"version\":1,"))
        });
        // A Node that comes back as another: a new machine under the old name.
        world.api.kubectl(&["delete", "node", "n1"]);
        agent.until("status", "there is no Node \"n1\"");
        agent.until("peers", "Established");
        world.put_node("n1", 2);
        world.put_cidrs("n1", 2);
        agent.until("routes --sent tor", "10.244.2.0/24");
        world.api.freeze();
        agent.daemon.kill();
        let agent = world.agent("n1");
        agent.until("status", "running from checkpoint");
        agent.until("peers", "Established");
        world.api.thaw();
        wait::until("the source whole again", LIMIT, || !agent.ask("status").contains("checkpoint"));
    });
}

#[test]
fn a_server_whose_certificate_is_not_good_yet_is_a_matter_of_clocks() {
    labs::require!("root", "kubernetes");
    labs::sandbox!(|sandbox| {
        let folder = sandbox.folder().to_owned();
        let script = "openssl ecparam -name prime256v1 -genkey -noout -out ca.key\n\
            openssl req -x509 -new -key ca.key -days 365 -subj /CN=lab -addext keyUsage=critical,keyCertSign -out ca.crt\n\
            openssl ecparam -name prime256v1 -genkey -noout -out server.key\n\
            openssl req -new -key server.key -subj /CN=server -out server.csr\n\
            touch index; echo 01 > serial; mkdir -p new\n\
            printf '[ca]\\ndefault_ca=c\\n[c]\\ndatabase=index\\nserial=serial\\nnew_certs_dir=new\\npolicy=p\\n\
default_md=sha256\\n[p]\\ncommonName=supplied\\n[e]\\nsubjectAltName=IP:127.0.0.1\\n' > ca.conf\n\
            openssl ca -batch -notext -config ca.conf -cert ca.crt -keyfile ca.key -in server.csr -extensions e \
-startdate 20900101000000Z -enddate 20910101000000Z -out server.crt\n";
        let made = Command::new("sh").args(["-ec", script]).current_dir(&folder).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut command = Command::new("openssl");
        command.args([
            "s_server",
            "-quiet",
            "-accept",
            "127.0.0.1:6443",
            "-cert",
            "server.crt",
            "-key",
            "server.key",
        ]);
        let _server = sandbox.daemon("server", {
            command.current_dir(&folder);
            command
        });
        let authority = fs::read(folder.join("ca.crt")).unwrap();
        let authority = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, authority);
        let kubeconfig = serde_json::json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443", "certificate-authority-data": authority}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]});
        fs::write(folder.join("kubeconfig"), kubeconfig.to_string()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_underlay"));
        command.args(["agent", "--node", "n1", "--kubeconfig"]).arg(folder.join("kubeconfig"));
        command.arg("--socket").arg(folder.join("status.sock"));
        command.arg("--checkpoint").arg(folder.join("state/checkpoint.json"));
        let agent = Agent { daemon: sandbox.daemon("n1", command), state: folder };
        agent.until("status", "compare this node's clock");
    });
}
