//! Links the binary and the tests to libtorch and lets them find it where it lies, since
//! the link flags of torch-sys do not reach the crates downstream of it; builds the shim.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    println!("cargo:rerun-if-changed=shim");
    if let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
        cc::Build::new()
            .cpp(true)
            .std("c++20")
            .warnings(false)
            .include(Path::new(&lib).with_file_name("include"))
            .files(["shim/copies.cpp", "shim/graph.cpp", "shim/pace.cpp", "shim/torch.cpp"])
            .compile("voxage_torch");
    }
    // The linker would drop a library of which it sees no symbol used.
    println!("cargo:rustc-link-arg=-Wl,--no-as-needed");
    println!("cargo:rustc-link-arg=-ltorch");
    println!("cargo:rustc-link-arg=-Wl,--as-needed");
}
