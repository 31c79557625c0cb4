//! Gives the library its soname, so that programs find it by the version of its ABI; on Android, which knows no versions in
//! names, by its name. There its segments are aligned to pages of 16 KiB, which devices may have.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let flags: &[&str] = match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("linux") => &["-soname,libtertulia.so.0"],
        Ok("android") => &["-soname,libtertulia.so", "-z,max-page-size=16384"],
        _ => &[],
    };
    flags.iter().for_each(|flags| println!("cargo:rustc-cdylib-link-arg=-Wl,{flags}"));
}
