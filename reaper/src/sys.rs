//! The system calls that neither the standard library nor rustix offers safely. All `unsafe` of this crate is here.
//!
//! Signals are blocked and read from a signalfd instead of being handled: nothing is lost or reordered between two
//! system calls, real-time signals keep their queue, each tells whether the terminal sent it, and getting ready
//! takes three system calls where handlers take two for each signal. The price is that the mask is inherited, so
//! the command needs `posix_spawn` with a mask of its own; the standard library would pass ours on.
#![expect(unsafe_code, reason = "signal masks, signalfd, posix_spawn and kill(2) have no safe wrapper")]

use std::{
    ffi::{CString, c_char, c_int, c_long},
    io,
    mem::MaybeUninit,
    os::fd::{FromRawFd, OwnedFd},
    ptr,
};

use rustix::process::Pid;

unsafe extern "C" {
    // Not in the libc crate for musl. Handed on as it is, so that entries without a `=` survive too.
    static environ: *const *mut c_char;
    // Where the program's code and constants begin and end, as every linker has it.
    static __executable_start: u8;
    static etext: u8;
}

/// What the kernel takes for a signal set: bit n-1 stands for signal n. libc's own type hides 32 to 34.
type KernelSet = u64;
const KERNEL_SET_SIZE: usize = size_of::<KernelSet>();

/// Blocks `signals` (bit n-1 for signal n) in this process.
pub(crate) fn set_blocked(signals: u64) -> io::Result<()> {
    // SAFETY: the kernel reads one set of the size given and writes none. Past libc, because libc takes 32 to 34
    // for itself; they serve threads and cancellation, and this process has neither.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            c_long::from(libc::SIG_SETMASK),
            &raw const signals,
            ptr::null_mut::<KernelSet>(),
            KERNEL_SET_SIZE,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A descriptor from which the blocked `signals` are read.
pub(crate) fn signal_descriptor(signals: u64) -> io::Result<OwnedFd> {
    let flags = c_long::from(libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
    // SAFETY: the kernel reads one set of the size given; -1 asks for a new descriptor.
    let fd = unsafe {
        libc::syscall(libc::SYS_signalfd4, -1 as c_long, &raw const signals, KERNEL_SET_SIZE, flags)
    };
    match c_int::try_from(fd) {
        // SAFETY: a descriptor just made, and nobody else's.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives a signal its default disposition, also one that libc keeps for itself: an inherited "ignore" is undone.
pub(crate) fn set_default(signal: i32) {
    // The kernel's struct sigaction on both architectures: handler (SIG_DFL), flags, restorer, mask.
    let action: [u64; 4] = [0; 4];
    // SAFETY: the kernel reads one action and writes none; no handler of this program's is replaced.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            c_long::from(signal),
            &raw const action,
            ptr::null_mut::<u64>(),
            KERNEL_SET_SIZE,
        )
    };
}

/// From now on `signal` ends this process at once with 128+n.
pub(crate) fn exit_upon(signal: i32) {
    extern "C" fn leave(signal: c_int) {
        // SAFETY: _exit may be called in a signal handler.
        unsafe { libc::_exit(128 + signal) }
    }
    // SAFETY: the handler calls nothing but _exit.
    unsafe { libc::signal(signal, leave as extern "C" fn(c_int) as libc::sighandler_t) };
}

/// Sends a signal by number, the real-time ones included, which rustix's `Signal` cannot name.
pub(crate) fn kill(pid: Pid, signal: i32) -> io::Result<()> {
    // SAFETY: plain numbers in, nothing of ours is touched.
    if unsafe { libc::kill(pid.as_raw_nonzero().get(), signal) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Starts `command` with an empty signal mask and every disposition at its default; all else is inherited.
///
/// musl leaves its own signals (32 to 34) unblocked afterwards, so [`set_blocked`] has to follow; for that moment
/// these three have their default way.
pub(crate) fn spawn(command: &[CString]) -> io::Result<Pid> {
    let argv = pointers(command);
    let mut attributes = MaybeUninit::uninit();
    let mut signals = MaybeUninit::<libc::sigset_t>::uninit();
    let mut pid = 0;
    // SAFETY: `attributes` and `signals` (plain bits) are initialised before their first use; `argv` is an array of
    // C strings that ends with a null pointer and outlives the call; `environ` is changed by nobody in this
    // process, which has one thread and sets no variable.
    let error = unsafe {
        let attributes = attributes.as_mut_ptr();
        let signals = signals.as_mut_ptr();
        libc::posix_spawnattr_init(attributes);
        // Bit by bit: sigfillset leaves out libc's own, and glibc would have the command ignore those.
        signals.write_bytes(0xff, 1);
        libc::posix_spawnattr_setsigdefault(attributes, signals);
        libc::sigemptyset(signals);
        libc::posix_spawnattr_setsigmask(attributes, signals);
        // glibc has small constants as int, the call takes short: both values fit.
        let flags = (libc::POSIX_SPAWN_SETSIGDEF | libc::POSIX_SPAWN_SETSIGMASK) as libc::c_short;
        libc::posix_spawnattr_setflags(attributes, flags);
        let error = libc::posix_spawnp(&mut pid, argv[0], ptr::null(), attributes, argv.as_ptr(), environ);
        libc::posix_spawnattr_destroy(attributes);
        error
    };
    match (error, Pid::from_raw(pid)) {
        (0, Some(pid)) => Ok(pid),
        _ => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Becomes `command`; returns only if that fails.
pub(crate) fn exec(command: &[CString]) -> io::Error {
    let argv = pointers(command);
    // SAFETY: an array of C strings that ends with a null pointer and outlives the call.
    unsafe { libc::execvp(argv[0], argv.as_ptr().cast()) };
    io::Error::last_os_error()
}

/// Takes the program's own code out of this process's memory; what is still needed comes back by itself from the page
/// cache, in microseconds. Getting ready has touched nearly all of it, and what follows is a wait, maybe for hours.
pub(crate) fn let_go_of_code() {
    const PAGE: usize = 64 * 1024;
    let (start, end) = (&raw const __executable_start as usize, &raw const etext as usize);
    let (start, end) = (start.next_multiple_of(PAGE), end / PAGE * PAGE);
    if start < end {
        // SAFETY: within the program's own file, mapped read-only, so what is dropped is read again as it was. Whole
        // pages, also of the largest there are.
        unsafe { libc::madvise(ptr::with_exposed_provenance_mut(start), end - start, libc::MADV_DONTNEED) };
    }
}

fn pointers(command: &[CString]) -> Vec<*mut c_char> {
    command.iter().map(|word| word.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect()
}
