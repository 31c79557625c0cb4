//! Gives the library its soname, so that programs find it by the version of its ABI.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux" || system == "android") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libtertulia.so.0");
    }
}
