//! The text beside the exported tables: what they are, and what to type.

use super::definitions::{DATABASE, DefinedTable};
use super::{Exported, S3Location};
use crate::reports::plural;

/// Writes README.txt.
pub(super) fn readme(
    exported: &Exported,
    tables: &[DefinedTable<'_>],
    location: &S3Location,
) -> String {
    let counted = |number: u64, noun: &str| plural(i64::try_from(number).unwrap_or(i64::MAX), noun);
    let mut sync = String::new();
    let mut create = String::new();
    let mut glue = String::new();
    for defined in tables {
        let name = defined.table.name;
        sync += &format!("   aws s3 sync {name} {}\n", location.join(name));
        create += &format!(
            "   aws athena start-query-execution --query-string file://athena/{name}.sql \\\n\
             \x20    --result-configuration OutputLocation={}/\n",
            location.join("athena-results"),
        );
        glue += &format!("   aws glue create-table --cli-input-json file://glue/{name}.json\n");
    }
    let results = location.join("athena-results");
    format!(
        "{trips} in {files}, {stations} and {counts}, exported by divvy.\n\
         \n\
         trips/system=ID/year=YYYY/month=MM/  trips by the month of their local start\n\
         from_station_counts/system=ID/       departures by station id, as counted last\n\
         stations/system=ID/                  stations, with the ids that trips use for each\n\
         athena.sql                           the definitions of all tables, for the console\n\
         athena/, glue/                       the same, one a file, for the command line\n\
         \n\
         system, year and month are partition keys: columns of the tables, and not in the files.\n\
         Each column is described in the definitions.\n\
         \n\
         On this machine\n\
         \n\
         \x20  duckdb -c \"SELECT year, month, count(*) FROM read_parquet('trips/**/*.parquet',\n\
         \x20    hive_partitioning = true, hive_types = {{year: INT, month: INT}}) GROUP BY ALL ORDER BY ALL\"\n\
         \x20  python3 -c \"import pyarrow.dataset as d;\n\
         \x20    print(d.dataset('trips', partitioning='hive').count_rows())\"\n\
         \n\
         On Athena, in this folder\n\
         \n\
         1. Upload. A later export into the same folder may have fewer months: add --delete to have\n\
         \x20  those removed that it lacks.\n\
         \n\
         {sync}\
         \n\
         2. Define the tables, which reads no data. Athena takes one statement at a time.\n\
         \n\
         \x20  aws athena start-query-execution \\\n\
         \x20    --query-string 'CREATE DATABASE IF NOT EXISTS {DATABASE}' \\\n\
         \x20    --result-configuration OutputLocation={results}/\n\
         {create}\
         \n\
         \x20  Or in the Glue catalog:\n\
         \n\
         \x20  aws glue create-database --database-input Name={DATABASE}\n\
         {glue}\
         \n\
         3. Ask. Athena bills by the bytes that it reads: name columns, and narrow year and month.\n\
         \n\
         \x20  SELECT system, month, rider, count(*) AS trips,\n\
         \x20    approx_percentile(ride_duration_s, 0.5) AS median_s\n\
         \x20  FROM {DATABASE}.trips WHERE year = {year} AND NOT contains(flags, 'over_24_h')\n\
         \x20  GROUP BY system, month, rider ORDER BY system, month, trips DESC\n\
         \n\
         Partitions are found by partition projection: the definitions name the systems and years of\n\
         this export, and are to be made again (DROP TABLE first) when an export has more. Engines that\n\
         do not have it (Spark, EMR, Redshift Spectrum) need MSCK REPAIR TABLE {DATABASE}.trips once.\n\
         started_at and ended_at are wall-clock times, those ending in _utc are in UTC; Athena shows\n\
         either as a timestamp without a zone.\n",
        trips = counted(exported.trips, "trip"),
        files = counted(exported.trip_files, "file"),
        stations = counted(exported.stations, "station"),
        counts = counted(exported.counts, "count"),
        year = (tables.iter())
            .find_map(|defined| defined.years)
            .map_or(2024, |(_, last)| last),
    )
}
