//! Environments, good and bad.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use proptest::prelude::*;

use super::*;

fn lookup<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
    |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
}

const FULL: [(&str, &str); 3] =
    [("CNI_CONTAINERID", "c1"), ("CNI_NETNS", "/run/netns/x"), ("CNI_IFNAME", "eth0")];

fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.code, Code::Environment);
    error.message
}

#[test]
fn verbs() {
    for (name, verb) in [("ADD", Verb::Add), ("DEL", Verb::Del), ("GC", Verb::Gc), ("VERSION", Verb::Version)]
    {
        assert_eq!(Verb::from_env(&lookup(&[("CNI_COMMAND", name)])), Ok(verb));
    }
    for name in ["", "add", "FOO"] {
        assert!(message(Verb::from_env(&lookup(&[("CNI_COMMAND", name)]))).contains("CNI_COMMAND"));
    }
    assert!(message(Verb::from_env(&lookup(&[]))).contains("CNI_COMMAND"));
}

#[test]
fn every_missing_variable_is_named() {
    let text = message(Target::from_env(Verb::Add, &lookup(&[("CNI_NETNS", "")])));
    for name in ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"] {
        assert!(text.contains(name), "{text}");
    }
    let without_netns = [FULL[0], FULL[2]];
    assert!(message(Target::from_env(Verb::Check, &lookup(&without_netns))).contains("CNI_NETNS"));
    assert_eq!(Target::from_env(Verb::Del, &lookup(&without_netns)).unwrap().netns, None);
}

#[test]
fn invalid_variables_are_named() {
    for (at, bad, name) in
        [(0, "a/b", "CNI_CONTAINERID"), (2, "a:b", "CNI_IFNAME"), (1, "/x\0y", "CNI_NETNS")]
    {
        let mut pairs = FULL;
        pairs[at].1 = bad;
        assert!(message(Target::from_env(Verb::Add, &lookup(&pairs))).contains(name));
    }
    let text = message(Target::from_env(Verb::Add, &|_| Some(OsString::from_vec(vec![b'a', 0xff]))));
    assert!(text.contains("CNI_CONTAINERID") && text.contains("UTF-8"), "{text}");
}

#[test]
fn own_namespace_needs_the_override() {
    for (value, allowed) in [("1", true), ("true", true), ("0", false), ("", false)] {
        let pairs = [FULL[0], FULL[1], FULL[2], ("CNI_NETNS_OVERRIDE", value)];
        assert_eq!(Target::from_env(Verb::Add, &lookup(&pairs)).unwrap().own_netns_allowed, allowed);
    }
}

fn args(text: &str) -> Result<Args> {
    Args::from_env(&lookup(&[("CNI_ARGS", text)]))
}

#[test]
fn arguments() {
    assert_eq!(Args::from_env(&lookup(&[])), Ok(Args::default()));
    let text = "IgnoreUnknown=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=pod;K8S_POD_UID=u;X=y;IP=10.0.0.5,fd00::5/64;MAC=02:00:00:00:00:01";
    let parsed = args(text).unwrap();
    assert_eq!(parsed.pod.as_deref(), Some("ns/pod"));
    assert_eq!(parsed.ips, ["10.0.0.5".parse::<IpAddr>().unwrap(), "fd00::5".parse().unwrap()]);
    assert_eq!(parsed.mac, Some(Mac([2, 0, 0, 0, 0, 1])));
    for bad in ["X=y", "IP", "IP=10.0.0", "IP=", "MAC=01:00:00:00:00:00", "MAC=x", "IgnoreUnknown=0;X=y"] {
        assert!(message(args(bad)).contains("CNI_ARGS"), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_arguments_make_it_panic(text in ".*") {
        let _ = args(&text);
    }
}
