//! Tells the linker how to make what is shipped smaller.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Relative relocations take 11 KB otherwise. musl, which is linked in, unpacks them; of a system's own libc that is not sure.
    if env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|libc| libc == "musl") {
        for word in ["-z", "pack-relative-relocs"] {
            println!("cargo::rustc-link-arg-bins={word}");
        }
    }
}
