use divvy::sources::trips_csv::{Plan, TripReader};
use divvy::tally::{Tally, Totals};
use std::io::Read;
use std::time::Instant;
fn main() {
    for file in std::env::args().skip(1) {
        let mut open = || -> std::io::Result<Box<dyn Read + Send>> {
            Ok(Box::new(std::fs::File::open(&file)?))
        };
        let t = Instant::now();
        let plan = match Plan::make(&mut open, &file, false) {
            Ok(p) => p,
            Err(e) => {
                println!("{e}");
                continue;
            }
        };
        let system = plan
            .system()
            .cloned()
            .unwrap_or(divvy::model::System::named("divvy").unwrap());
        let mut input = open().unwrap();
        let mut all = Vec::new();
        let _ = &mut all;
        let _ = &mut input;
        input.read_to_end(&mut all).unwrap();
        let size = all.len() as f64 / 1e6;
        let t1 = Instant::now();
        let rejects = std::sync::Mutex::new(vec![]);
        let mut reader = TripReader::new(&all[..], plan.clone(), &system, &file).unwrap();
        let mut totals = Totals::default();
        let (mut parse, mut tally) = (0.0, 0.0);
        loop {
            let a = Instant::now();
            let Some(b) = reader.next_batch(&rejects).unwrap() else {
                break;
            };
            parse += a.elapsed().as_secs_f64();
            let a = Instant::now();
            totals.count(&b, 1);
            tally += a.elapsed().as_secs_f64();
        }
        let _ = (t, t1);
        println!(
            "{file}: {} {} rows {} trips {} rejected {:?} flags {:?} stations {}  parse {:.0} MB/s {:.0} ns/row tally {:.0} ns/row",
            plan.form(),
            system.id,
            reader.rows_read(),
            totals.trips,
            reader.rejected(),
            totals.flags.iter().collect::<Vec<_>>(),
            totals.stations.0.len(),
            size / parse,
            parse * 1e9 / reader.rows_read() as f64,
            tally * 1e9 / reader.rows_read() as f64
        );
        for r in rejects.into_inner().unwrap().iter().take(3) {
            println!("   {r}");
        }
    }
}
