//! The Lambda behind the stream of StationData.
fn main() {}
