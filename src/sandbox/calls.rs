//! System calls that are of no use to a name server, refused by seccomp.
//!
//! A list of what is refused, rather than of what is allowed: resolving a host name loads whatever libraries this
//! machine is set up with, and they call what they call. A list of the allowed would be tried on one machine and break
//! the checks of another on the day of an upgrade. What is refused is what turns a foothold into more: programs, other
//! processes, the kernel's less trodden ways. `EPERM` rather than death: a call that we did not think of is an error in
//! the log, not an outage.

use std::collections::BTreeMap;

use nix::libc::{self, c_long};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};

/// Refuses them to this thread and those that it starts.
///
/// # Errors
/// They are not: why.
pub(super) fn refuse() -> Result<(), String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)
        .map_err(|_| format!("not on {}", std::env::consts::ARCH))?;
    for filter in filters(arch).map_err(|error| error.to_string())? {
        apply_filter(&filter).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn filters(arch: TargetArch) -> Result<[BpfProgram; 2], seccompiler::BackendError> {
    let never = |calls: &[c_long]| calls.iter().map(|&call| (call, Vec::new())).collect::<Vec<_>>();
    let mut refused: BTreeMap<c_long, Vec<SeccompRule>> =
        never(&[REFUSED, REFUSED_HERE].concat()).into_iter().collect();
    // A thread of this process, but no process.
    let thread = libc::CLONE_THREAD as u64;
    let no_thread = SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(thread), 0)?;
    refused.insert(libc::SYS_clone, vec![SeccompRule::new(vec![no_thread])?]);
    // Its flags are in memory, where no filter can look. Told that there is none, libraries take the call above.
    let unknown = never(&[libc::SYS_clone3]).into_iter().collect();
    Ok([filter(refused, libc::EPERM, arch)?, filter(unknown, libc::ENOSYS, arch)?])
}

fn filter(
    calls: BTreeMap<c_long, Vec<SeccompRule>>,
    error: i32,
    arch: TargetArch,
) -> Result<BpfProgram, seccompiler::BackendError> {
    // An errno is positive.
    let refusal = SeccompAction::Errno(error.unsigned_abs());
    SeccompFilter::new(calls, SeccompAction::Allow, refusal, arch)?.try_into()
}

/// Refused on every processor.
const REFUSED: &[c_long] = &[
    // other programs
    libc::SYS_execve,
    libc::SYS_execveat,
    // other processes
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    // being somebody else
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    libc::SYS_personality,
    // being somewhere else
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_mknodat,
    libc::SYS_quotactl,
    libc::SYS_fanotify_init,
    // the kernel itself
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_vhangup,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    // its less trodden ways
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
];

/// Those that only this processor has, and the second numbers (x32) that calls have on it where a kernel permits them.
#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[c_long] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_mknod,
    libc::SYS_kexec_file_load,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    X32 | 520, // execve
    X32 | 521, // ptrace
    X32 | 545, // execveat
    X32 | 57,  // fork
    X32 | 58,  // vfork
    X32 | 56,  // clone
    X32 | 435, // clone3
];

#[cfg(target_arch = "x86_64")]
const X32: c_long = 0x4000_0000;

#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[c_long] = &[];
