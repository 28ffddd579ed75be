//! What the plugin is built from.

use std::process::Command;

#[test]
fn no_runtime_no_kubernetes_no_proto_compiler() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "tree",
            "-p",
            "cni",
            "-e",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
            "--locked",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let names: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"api") && names.contains(&"netlink-sys"), "{text}");
    for heavy in ["kube", "k8s-openapi", "tonic", "tonic-prost-build", "tokio", "prost", "protox", "hyper"] {
        assert!(!names.contains(&heavy), "the plugin is built from {heavy}");
    }
}
