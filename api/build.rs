//! Compiles `proto/` to Rust and to the descriptor set that server reflection
//! shows, under the feature `grpc` alone: without it nothing is compiled and no
//! compiler is built.

#[cfg(feature = "grpc")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    const FILES: [&str; 7] =
        ["event", "explanation", "node", "operator_service", "peer", "route", "status_service"];

    println!("cargo::rerun-if-changed=proto");
    let files = FILES.map(|file| format!("proto/underlay/v1/{file}.proto"));
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(files)?;

    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    std::fs::write(out.join("underlay.v1.bin"), compiler.encode_file_descriptor_set())?;
    // Messages that know their name can be printed by their descriptor.
    let mut names = tonic_prost_build::Config::new();
    names.enable_type_names();
    tonic_prost_build::configure().compile_fds_with_config(compiler.file_descriptor_set(), names)?;
    Ok(())
}

#[cfg(not(feature = "grpc"))]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
