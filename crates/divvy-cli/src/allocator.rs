//! Settings of the memory allocator.

/// Makes glibc keep freed memory for the next batch of trips.
///
/// By default it returns each freed buffer of a few hundred KiB to the kernel, which clears the
/// pages again when the next batch allocates them: 40 % of the time of a report that reads trips.
/// Peak memory stays the same. Other C libraries are left as they are.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(
        unsafe_code,
        reason = "mallopt(3) takes two integers, before any thread is started"
    )]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 16 << 20);
    }
}
