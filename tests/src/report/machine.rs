//! What the figures were measured on, without anything that names the machine or the day.

use std::{fs, thread};

/// Cores, architecture, processor and kernel version.
pub fn machine() -> String {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let mut parts = vec![format!("{cores} cores"), std::env::consts::ARCH.to_owned()];
    parts.extend(fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| processor(&text)));
    parts.extend(fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|text| kernel(&text)));
    parts.join(", ")
}

fn processor(cpuinfo: &str) -> Option<String> {
    let (_, name) = cpuinfo.lines().find(|line| line.starts_with("model name"))?.split_once(':')?;
    Some(name.trim().to_owned())
}

/// `6.18.44-some-build` is `Linux 6.18`: builds come and go.
fn kernel(release: &str) -> String {
    let numbers: Vec<&str> = release.trim().split(['.', '-']).take(2).collect();
    format!("Linux {}", numbers.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_named_without_its_build() {
        assert_eq!(kernel("6.18.44-build-7\n"), "Linux 6.18");
        assert_eq!(kernel(""), "Linux ");
    }

    #[test]
    fn the_processor_is_read_where_the_kernel_names_it() {
        assert_eq!(processor("vendor_id : x\nmodel name\t: A CPU @ 2GHz\n").as_deref(), Some("A CPU @ 2GHz"));
        assert_eq!(processor("CPU part : 0xd0c\n"), None);
    }
}
