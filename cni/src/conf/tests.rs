//! Configurations, good and bad.

use std::path::Path;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn document(json: impl std::borrow::Borrow<Value>) -> Result<Document> {
    Document::new(object(json.borrow().to_string().as_bytes())?)
}

fn with(key: &str, value: Value) -> Value {
    let mut json = json!({"cniVersion": "1.0.0", "name": "net", "type": "underlay-cni",
                          "subnets": ["10.0.0.0/24", "fd00::/64"]});
    if value.is_null() {
        json.as_object_mut().unwrap().remove(key);
    } else {
        json[key] = value;
    }
    json
}

fn network(key: &str, value: Value) -> Result<Network> {
    document(with(key, value))?.network()
}

fn refused(key: &str, value: Value, code: Code, needle: &str) {
    let error = network(key, value).unwrap_err();
    assert_eq!(error.code, code, "{error}");
    assert!(error.message.contains(needle), "{error}");
}

#[test]
fn what_is_no_json_object_has_code_6() {
    for text in ["", "{", "[]", "null", "\"x\"", "{\"a\":1}x"] {
        assert_eq!(object(text.as_bytes()).unwrap_err().code, Code::Decode, "{text:?}");
    }
}

#[test]
fn versions_that_we_do_not_speak_have_code_1() {
    for value in [json!("0.2.0"), json!("2.0.0"), json!(""), Value::Null] {
        assert_eq!(document(with("cniVersion", value)).unwrap_err().code, Code::Version);
    }
    assert_eq!(document(with("cniVersion", json!(1))).unwrap_err().code, Code::Config);
}

#[test]
fn defaults() {
    let document = document(with("x/y", json!("foreign"))).unwrap();
    assert_eq!(document.state_dir, Path::new(DEFAULT_STATE_DIR));
    let network = document.network().unwrap();
    assert_eq!(network.ready_file.as_deref(), Some(Path::new(READY_FILE)));
    assert_eq!(network.pools.iter().map(Pool::family).collect::<Vec<_>>(), [Family::V4, Family::V6]);
    assert_eq!((network.mtu, network.mac, network.prev_result), (None, None, None));
}

#[test]
fn invalid_fields_have_code_7_and_are_named() {
    for (key, value, needle) in [
        ("name", Value::Null, "name"),
        ("name", json!("../x"), "name"),
        ("name", json!("a".repeat(101)), "name"),
        ("stateDir", json!("relative"), "stateDir"),
        ("stateDir", json!(1), "stateDir"),
        ("subnets", Value::Null, "subnets"),
        ("subnets", json!([]), "subnets"),
        ("subnets", json!("10.0.0.0/24"), "subnets"),
        ("subnets", json!(["10.0.0.0/24", "10.0.0.0/33"]), "subnets[1]"),
        ("subnets", json!(["10.0.0.0/24", "fd00::/64", "10.0.0.0/16"]), "subnets[2]"),
        ("mtu", json!("big"), "mtu"),
        ("mtu", json!(-1), "mtu"),
        ("mtu", json!(1279), "mtu"),
        ("mtu", json!(65_536), "mtu"),
        ("masqExcept", json!(["x"]), "masqExcept"),
        ("readyFile", json!("x"), "readyFile"),
        ("dns", json!("x"), "dns"),
        ("ipam", json!({"subnet": "10.0.0.0/24"}), "ipam.type"),
        ("ipam", json!({"type": "../host-local"}), "ipam.type"),
        ("hostRoutes", json!("yes"), "hostRoutes"),
        ("routes", json!([{"dst": "10.0.0.0/8"}, {"gw": "10.0.0.1"}]), "routes[1]"),
        ("routes", json!([{"dst": "10.0.0.0/8", "gw": "fe80::1"}]), "routes[0]"),
        ("gateway", json!("10.0.0.0/x"), "gateway"),
        ("gateway", json!(["10.0.0.1", "10.0.0.2"]), "gateway"),
        ("gateway", json!("224.0.0.1"), "gateway"),
        ("exclude", json!(["10.0.0.9", "x"]), "exclude[1]"),
        ("subnets", json!([{"subnet": "10.0.0.0/24", "rangeStart": "10.0.1.1"}]), "rangeStart 10.0.1.1"),
        (
            "subnets",
            json!([{"subnet": "10.0.0.0/24", "rangeStart": "10.0.0.9", "rangeEnd": "10.0.0.8"}]),
            "subnets[0]",
        ),
        ("runtimeConfig", json!({"ipRanges": [[{"subnet": "10.9.0.0/24"}]]}), "10.9.0.0/24"),
        ("runtimeConfig", json!({"dns": {"servers": "x"}}), "runtimeConfig.dns"),
        ("args", json!({"cni": {"ips": ["x"]}}), "args.cni.ips"),
        ("prevResult", json!({"ips": [{"address": "x"}]}), "prevResult"),
        ("runtimeConfig", json!({"ips": ["x"]}), "runtimeConfig.ips"),
        ("runtimeConfig", json!({"mac": "ff:ff:ff:ff:ff:ff"}), "runtimeConfig.mac"),
    ] {
        refused(key, value, Code::Config, needle);
    }
}

#[test]
fn unsupported_fields_have_code_2_with_key_and_value() {
    for (key, value, needle) in [
        ("isGateway", json!(true), "isGateway with value true"),
        ("subnet", json!("10.0.0.0/24"), "subnet with value"),
        (
            "runtimeConfig",
            json!({"ipRanges": [[{"subnet": "10.0.0.0/25"}], [{"subnet": "10.0.0.128/25"}]]}),
            "runtimeConfig.ipRanges",
        ),
    ] {
        refused(key, value, Code::Unsupported, needle);
    }
}

#[test]
fn fields_that_ask_for_nothing_are_fine() {
    for (key, value) in [
        ("ipMasq", json!(false)),
        ("masqExcept", json!(["10.0.0.0/8"])),
        ("ipam", json!({})),
        ("mtu", json!(0)),
        ("capabilities", json!({"portMappings": true})),
        ("runtimeConfig", json!({"portMappings": [], "bandwidth": {}, "cni.dev/x": 1, "mac": ""})),
        ("cni.dev/attachments", json!([1])),
    ] {
        network(key, value).unwrap();
    }
}

#[test]
fn requests_of_the_runtime() {
    let runtime = json!({"ips": ["10.0.0.9", "fd00::9/64"], "mac": "02:00:00:00:00:09"});
    let network = network("runtimeConfig", runtime).unwrap();
    assert_eq!(network.ips, ["10.0.0.9".parse::<IpAddr>().unwrap(), "fd00::9".parse().unwrap()]);
    assert_eq!(network.mac, Some(Mac([2, 0, 0, 0, 0, 9])));
}

#[test]
fn requests_beside_the_capabilities() {
    let args = json!({"cni": {"ips": ["10.0.0.8/24"], "labels": [{"key": "a", "value": "b"}]}, "other": 1});
    assert_eq!(network("args", args).unwrap().ips, ["10.0.0.8".parse::<IpAddr>().unwrap()]);
    let runtime = json!({"dns": {"servers": ["10.0.0.53"], "searches": ["a.example"]}, "cgroupPath": "/x"});
    let dns = network("runtimeConfig", runtime).unwrap().dns;
    assert_eq!((dns.nameservers, dns.search), (vec!["10.0.0.53".to_owned()], vec!["a.example".to_owned()]));
}

#[test]
fn ranges_of_the_runtime_replace_the_subnets_pools() {
    let ranges = json!({"ipRanges": [[{"subnet": "10.0.0.0/25", "rangeEnd": "10.0.0.9"},
                                      {"subnet": "10.0.0.128/25"}], [{"subnet": "fd00::/80"}]]});
    let network = network("runtimeConfig", ranges).unwrap();
    assert_eq!(network.pools[0].size(), 9 + 126);
    assert_eq!(network.pools[1].subnets(), ["fd00::/80".parse::<IpNet>().unwrap()]);
}

#[test]
fn another_plugin_may_give_the_addresses() {
    let mut json = with("ipam", json!({"type": "host-local", "anything": [1]}));
    json.as_object_mut().unwrap().remove("subnets");
    let network = document(json).unwrap().network().unwrap();
    assert_eq!((network.ipam.as_deref(), network.pools.len()), (Some("host-local"), 0));
}

#[test]
fn a_network_without_an_agent_has_no_ready_file() {
    assert_eq!(network("readyFile", json!("")).unwrap().ready_file, None);
    assert_eq!(network("readyFile", json!("/x")).unwrap().ready_file, Some("/x".into()));
}

#[test]
fn ipv4_alone_may_have_a_small_mtu() {
    let mut json = with("mtu", json!(576));
    json["subnets"] = json!(["10.0.0.0/24"]);
    assert_eq!(document(json).unwrap().network().unwrap().mtu, Some(576));
}

#[test]
fn detaching_does_not_care_for_fields_that_attaching_refuses() {
    let mut json = with("isGateway", json!(true));
    json["subnets"] = json!("nonsense");
    assert_eq!(document(json).unwrap().name, "net");
}

#[test]
fn an_empty_list_of_attachments_is_a_list_and_none_is_an_error() {
    let valid = |value| document(with("cni.dev/valid-attachments", value)).unwrap().valid_attachments();
    assert_eq!(valid(json!([])), Ok(vec![]));
    assert_eq!(valid(json!([{"containerID": "c", "ifname": "eth0"}])).unwrap()[0].interface(), "eth0");
    for bad in
        [Value::Null, json!({}), json!([{"containerID": "c"}]), json!([{"containerID": "/", "ifname": "e"}])]
    {
        assert_eq!(valid(bad).unwrap_err().code, Code::Config);
    }
}

#[test]
fn what_the_agent_writes_is_accepted() {
    let subnets: Vec<IpNet> = vec!["10.0.0.0/24".parse().unwrap(), "fd00::/64".parse().unwrap()];
    let written = api::netconf::Network { mtu: Some(1450), ..api::netconf::Network::new(subnets) };
    let list = api::netconf::NetworkList::new("net", written);
    // What a runtime makes of the list: name and version are put into the plugin's entry.
    let mut entry = serde_json::to_value(&list.plugins[0]).unwrap();
    entry["name"] = list.name.into();
    entry["cniVersion"] = list.cni_versions.last().unwrap().as_str().into();
    assert_eq!(document(entry).unwrap().network().unwrap().mtu, Some(1450));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = object(&bytes).and_then(Document::new).and_then(|d| d.network());
    }

    #[test]
    fn no_value_of_a_known_field_makes_it_panic(key in proptest::sample::select(&KNOWN[..]), text in ".{0,20}", number in any::<i64>()) {
        for value in [json!(text), json!(number), json!([text]), json!({"ips": text, "mac": number})] {
            let _ = network(key, value);
        }
    }
}

#[test]
fn containerd_writes_names_with_capitals_and_fields_of_nothing() {
    let runtime = json!({
        "portMappings": [{"HostPort": 8080, "ContainerPort": 80, "Protocol": "tcp", "HostIP": ""}],
        "bandwidth": {"IngressRate": 1_000_000, "IngressBurst": 4_294_967_295_u64, "EgressRate": 0, "EgressBurst": 0},
        "ipRanges": [[{"Subnet": "10.0.0.0/25", "RangeStart": "", "RangeEnd": "10.0.0.9", "Gateway": ""}]],
        "dns": {"Servers": ["10.0.0.53"], "Searches": null, "Options": null},
        "cgroupPath": "/kubepods/pod1",
    });
    let document = document(with("runtimeConfig", runtime)).unwrap();
    let network = document.network().unwrap();
    assert_eq!(network.dns.nameservers, ["10.0.0.53"]);
    assert_eq!(network.pools.len(), 1);
    let ports: Value = document.runtime_field("portMappings").unwrap().unwrap();
    assert_eq!(ports, json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]));
    let rates: Value = document.runtime_field("bandwidth").unwrap().unwrap();
    assert_eq!(rates["ingressRate"], 1_000_000);
}

#[test]
fn a_name_as_the_specification_writes_it_wins() {
    let runtime = json!({"portMappings": [{"HostPort": 1, "hostPort": 2}]});
    let document = document(with("runtimeConfig", runtime)).unwrap();
    let ports: Value = document.runtime_field("portMappings").unwrap().unwrap();
    assert_eq!(ports, json!([{"hostPort": 2}]));
}
