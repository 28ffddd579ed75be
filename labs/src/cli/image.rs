//! `cargo lab image [FILE]`: the image of manifests/Dockerfile, without a builder of images.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, ensure};

use crate::{cargo, debian, interrupt, program};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Where to: for `docker load`, `ctr images import`, `kind load image-archive` and `k3d image import`
    #[arg(default_value = "underlay.tar")]
    file: PathBuf,
    /// What the image is called
    #[arg(long, default_value = "docker.io/library/underlay:lab")]
    name: String,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    interrupt::watch()?;
    debian::install(&[debian::CC, debian::IP, debian::PING])?;
    cargo::run(&["build", "--locked", "--release", "--package", "controller", "--bin", "underlay"])?;
    let plugin = cargo::static_plugin()?;
    let folder = program::build_folder();
    let underlay = folder.parent().unwrap_or(&folder).join("release/underlay");
    let mut pack = Command::new(program::workspace().join("manifests/image.sh"));
    pack.arg("archive").arg(underlay).arg(plugin).arg(&args.file).arg(&args.name);
    let status = interrupt::status(&mut pack)?;
    ensure!(status.success(), "manifests/image.sh failed");
    let size = args.file.metadata().with_context(|| args.file.display().to_string())?.len();
    super::console::print(&format!("{}: {}, {size} octets\n", args.file.display(), args.name))?;
    Ok(ExitCode::SUCCESS)
}
