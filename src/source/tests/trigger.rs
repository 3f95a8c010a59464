//! What the kernel's refusals mean.

use super::*;

#[test]
fn refusals_are_told_apart() {
    let (path, stall, window) = (Path::new("pressure"), Duration::from_millis(1), Duration::from_secs(2));
    let file = || path.to_owned();
    let told = |error| refused(error, path, stall, window);
    for error in [Errno::NOENT, Errno::NOTDIR, Errno::ISDIR, Errno::NXIO, Errno::NODEV, Errno::AGAIN, Errno::OPNOTSUPP]
    {
        assert_eq!(told(error), MemoryPressureError::Unsupported { path: file() });
    }
    for error in [Errno::PERM, Errno::ACCESS, Errno::ROFS] {
        let errno = error.raw_os_error();
        assert_eq!(told(error), MemoryPressureError::NotPermitted { path: file(), errno });
    }
    for error in [Errno::MFILE, Errno::NFILE] {
        assert_eq!(told(error), MemoryPressureError::NoDescriptor { errno: error.raw_os_error() });
    }
    assert_eq!(told(Errno::INVAL), MemoryPressureError::InvalidStall { stall, window });
    assert_eq!(told(Errno::BUSY), MemoryPressureError::Busy { path: file() });
    let errno = Errno::NOMEM.raw_os_error();
    assert_eq!(told(Errno::NOMEM), MemoryPressureError::Refused { path: file(), errno });
}
