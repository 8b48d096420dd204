//! Processor time, and tables of it.

use std::hint::black_box;

use rustix::time::{ClockId, clock_gettime};

/// Runs of which the fastest counts.
pub const RUNS: usize = 9;

/// Returns the milliseconds of processor time that `work` takes at best.
pub fn cpu_ms<T>(work: impl FnMut() -> crate::Result<T>) -> crate::Result<f64> {
    cpu_ms_of(RUNS, work)
}

/// Returns the milliseconds of processor time that `work` takes at best in some runs.
pub fn cpu_ms_of<T>(runs: usize, mut work: impl FnMut() -> crate::Result<T>) -> crate::Result<f64> {
    /// What is shorter is repeated, so that the clock is exact enough.
    const SHORT_MS: f64 = 5.0;
    let mut times = 1;
    let mut best = f64::INFINITY;
    for run in 0..runs {
        let start = now_ms();
        for _ in 0..times {
            black_box(work()?);
        }
        let each = (now_ms() - start) / times as f64;
        if run == 0 && each < SHORT_MS {
            times = (SHORT_MS / each.max(0.001)).ceil() as usize;
        }
        best = best.min(each);
    }
    Ok(best)
}

/// The processor time of this process. `getrusage` divides it between user and system by ticks of
/// the clock only.
fn now_ms() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

/// A table with a row for each way; the first is ours.
pub struct Table {
    trips: usize,
    columns: Vec<&'static str>,
    rows: Vec<(String, Vec<f64>)>,
}

impl Table {
    /// Begins a table. `columns` come after the bytes of a trip.
    pub fn new(subject: &str, trips: usize, columns: &[&'static str]) -> Self {
        println!("### {subject}\n");
        Self {
            trips,
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a way: what it takes on disk, and the figures of the columns.
    pub fn row(&mut self, way: &str, bytes: usize, figures: &[f64]) {
        let mut all = vec![bytes as f64 / self.trips as f64];
        all.extend(figures);
        self.rows.push((way.into(), all));
    }

    /// Prints it, as Markdown.
    pub fn print(self) {
        println!("| way | bytes a trip | {} |", self.columns.join(" | "));
        println!("|---|{}", "---|".repeat(self.columns.len() + 1));
        let ours = &self.rows[0].1;
        for (way, figures) in &self.rows {
            let cells = figures.iter().zip(ours).map(|(figure, ours)| {
                if figure.is_nan() {
                    "".into()
                } else {
                    format!("{figure:.3} ({:.2})", figure / ours)
                }
            });
            println!("| {way} | {} |", cells.collect::<Vec<String>>().join(" | "));
        }
        println!();
    }
}

/// Postcard, then Zstandard with its checksum: ours find a flipped bit, so these must.
pub fn postcard_zstd(value: &impl serde::Serialize, level: i32) -> crate::Result<Vec<u8>> {
    let bytes = postcard::to_stdvec(value)?;
    let mut zstd = zstd::bulk::Compressor::new(level)?;
    zstd.include_checksum(true)?;
    Ok(zstd.compress(&bytes)?)
}

/// Inverts [`postcard_zstd`].
pub fn from_postcard_zstd<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> crate::Result<T> {
    Ok(postcard::from_bytes(&decompress(bytes)?)?)
}

/// Decompresses a frame that states its size.
pub fn decompress(bytes: &[u8]) -> crate::Result<Vec<u8>> {
    let size = zstd::zstd_safe::get_frame_content_size(bytes);
    let size = size.ok().flatten().ok_or("the frame states its size")?;
    Ok(zstd::bulk::decompress(bytes, size as usize)?)
}
