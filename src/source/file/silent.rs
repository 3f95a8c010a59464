//! File systems that do not tell what happens to their files.

use rustix::fs::fstatfs;
use std::os::fd::AsFd;

/// The magic numbers of those that show what other machines or programs do, or the kernel itself, without notice.
const SILENT: [i64; 17] = [
    0x6969,      // NFS
    0x517B,      // SMB
    0xFE53_4D42, // SMB 2
    0xFF53_4D42, // CIFS
    0x0102_1997, // 9P
    0x6573_5546, // FUSE
    0x00C3_6400, // Ceph
    0x5346_414F, // AFS
    0x6B41_4653, // kAFS
    0x7375_7245, // Coda
    0x0BD0_0BD0, // Lustre
    0x786F_4256, // VirtualBox's shared folders
    0xBACB_ACBC, // VMware's shared folders
    0x9FA0,      // proc
    0x6265_6572, // sysfs
    0x0027_E0EB, // cgroup
    0x6367_7270, // cgroup 2
];

/// True if an open file is on such a file system.
pub(super) fn is_silent(file: impl AsFd) -> bool {
    // The kernel's numbers have 32 bits, whatever the word is in which they are kept.
    fstatfs(file).is_ok_and(|file_system| SILENT.contains(&(i64::from(file_system.f_type as u32))))
}
