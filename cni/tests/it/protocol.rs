//! What is refused before anything is touched, and the shape of every answer.

use std::process::Command;

use serde_json::{Value, json};

use crate::node::{Answer, PLUGIN, spawn, wait};

fn call(env: &[(&str, &str)], stdin: &str) -> Answer {
    let mut command = Command::new(PLUGIN);
    command.env_clear().envs(env.iter().copied());
    wait(spawn(command, stdin))
}

const ADD: [(&str, &str); 4] =
    [("CNI_COMMAND", "ADD"), ("CNI_CONTAINERID", "c1"), ("CNI_NETNS", "/nowhere"), ("CNI_IFNAME", "eth0")];

fn conf(key: &str, value: Value) -> String {
    let mut conf = json!({"cniVersion": "1.1.0", "name": "net", "type": "underlay-cni",
                          "subnets": ["10.244.1.0/24"], "stateDir": "/nowhere/writable"});
    conf[key] = value;
    conf.to_string()
}

#[test]
fn version_echoes_each_version_and_lists_all() {
    let env = [("CNI_COMMAND", "VERSION")];
    for version in ["0.3.1", "0.4.0", "1.0.0", "1.1.0", "7.0.0"] {
        assert_eq!(
            call(&env, &json!({"cniVersion": version}).to_string()).result(),
            json!({"cniVersion": version, "supportedVersions": ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]})
        );
    }
    assert_eq!(call(&env, "").result()["cniVersion"], "1.1.0");
    assert_eq!(call(&env, "{}").result()["cniVersion"], "1.1.0");
    call(&env, "nonsense").fails(6, "JSON");
}

#[test]
fn environment_has_code_4() {
    call(&[], "").fails(4, "CNI_COMMAND");
    call(&[("CNI_COMMAND", "MOVE")], "").fails(4, "CNI_COMMAND");
    for missing in ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"] {
        let env: Vec<_> = ADD.into_iter().filter(|(name, _)| *name != missing).collect();
        call(&env, &conf("mtu", json!(1500))).fails(4, missing);
    }
    for (name, value) in
        [("CNI_CONTAINERID", "../x"), ("CNI_IFNAME", "."), ("CNI_IFNAME", "much-too-long-name")]
    {
        let env = ADD.map(|pair| if pair.0 == name { (name, value) } else { pair });
        call(&env, &conf("mtu", json!(1500))).fails(4, name);
    }
    let env = [ADD[0], ADD[1], ADD[2], ADD[3], ("CNI_ARGS", "WHAT=ever")];
    call(&env, &conf("mtu", json!(1500))).fails(4, "WHAT");
}

#[test]
fn versions_have_code_1_and_the_answer_a_version_that_we_speak() {
    for version in [json!("0.2.0"), json!("2.0.0"), Value::Null] {
        let answer = call(&ADD, &conf("cniVersion", version));
        answer.fails(1, "cniVersion");
        assert!(answer.stdout.contains(r#""cniVersion":"1.1.0""#), "{}", answer.stdout);
    }
    for (verb, version) in [("CHECK", "0.3.1"), ("STATUS", "1.0.0"), ("GC", "1.0.0")] {
        let env = ADD.map(|pair| if pair.0 == "CNI_COMMAND" { (pair.0, verb) } else { pair });
        let answer = call(&env, &conf("cniVersion", json!(version)));
        answer.fails(1, verb);
        assert!(answer.stdout.contains(&format!(r#""cniVersion":"{version}""#)), "{}", answer.stdout);
    }
}

#[test]
fn configuration_has_codes_2_6_and_7() {
    call(&ADD, "").fails(6, "JSON");
    call(&ADD, "{\"cniVersion\": ").fails(6, "JSON");
    call(&ADD, &conf("subnets", json!(["10.244.1.0/40"]))).fails(7, "subnets[0]");
    call(&ADD, &conf("name", Value::Null)).fails(7, "name");
    call(&ADD, &conf("isGateway", json!(true))).fails(2, "isGateway with value true");
    call(&ADD, &conf("runtimeConfig", json!({"aliases": ["web"]}))).fails(2, "aliases");
    call(&ADD, &conf("prevResult", json!({"interfaces": [{"name": "eth0"}]}))).fails(7, "first of its chain");
    call(&ADD, &conf("runtimeConfig", json!({"ips": ["10.9.9.9"]}))).fails(7, "10.9.9.9");
}

#[test]
fn missing_namespace_has_code_8() {
    call(&ADD, &conf("mtu", json!(1500))).fails(8, "/nowhere");
}
