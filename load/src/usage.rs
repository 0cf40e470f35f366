//! What the kernel says of a process: memory and processor time; and how many files one may open.

use std::fs;

/// What a process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Memory that is resident now, in MiB.
    pub resident: f64,
    /// The most that was, since it began or since [`forget_peak`], in MiB.
    pub peak: f64,
    /// Seconds of processors' time.
    pub processor: f64,
}

/// What a process uses; nothing where the kernel does not say.
#[must_use]
pub fn of(process: u32) -> Usage {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    Usage {
        resident: mebibytes(&status, "VmRSS:"),
        peak: mebibytes(&status, "VmHWM:"),
        processor: processor(&stat),
    }
}

/// From now on the peak is that of what comes.
pub fn forget_peak(process: u32) {
    // Where the kernel does not allow it, the peak is that since the beginning.
    drop(fs::write(format!("/proc/{process}/clear_refs"), "5"));
}

fn mebibytes(status: &str, name: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kibibytes.unwrap_or_default() / 1024.0
}

/// Of "pid (name) state parent ...", in which the name may hold anything: `utime` and `stime`, in hundredths of a second.
fn processor(stat: &str) -> f64 {
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields = after_name.split_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Lets this program open as many files as it may, and gives how many that is.
#[cfg(unix)]
#[must_use]
pub fn raise_open_files() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    (if raised.is_ok() { maximum } else { current }).unwrap_or(u64::MAX)
}

/// Elsewhere there is no such limit.
#[cfg(not(unix))]
#[must_use]
pub fn raise_open_files() -> u64 {
    u64::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_whatever_the_name_is() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 4 0 100 1000 200";
        assert!((processor(stat) - 2.0).abs() < 1e-9);
        let status = "Name:\ta\nVmHWM:\t    4096 kB\nVmRSS:\t    2048 kB\n";
        assert!((mebibytes(status, "VmRSS:") - 2.0).abs() < 1e-9);
        assert!((mebibytes(status, "VmHWM:") - 4.0).abs() < 1e-9);
        assert!(mebibytes("", "VmRSS:").abs() < 1e-9 && processor("").abs() < 1e-9);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_something() {
        let usage = of(std::process::id());
        assert!(usage.resident > 0.0 && usage.peak >= usage.resident);
        assert!(raise_open_files() >= 256);
    }
}
