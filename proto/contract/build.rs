//! Compiles `voxage.proto` with protox, a protobuf compiler in Rust: no `protoc` to install.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=voxage.proto");
    let files = protox::compile(["voxage.proto"], ["."])?;
    prost_build::Config::new()
        // Sorted maps: two encodings of one recording are the same bytes, and digests are taken of them.
        .btree_map(["."])
        .message_attribute(".", "#[derive(serde::Serialize, serde::Deserialize)] #[serde(default)]")
        .compile_fds(files)?;
    Ok(())
}
