//! What the emulator's database needs to be used for long: an index on its stream records, and
//! an end to the old ones.
//!
//! Each write looks for the highest sequence number among all records of its table's stream,
//! which nothing indexes; no record is ever removed, not even with its table. Both are mended
//! from beside, with a connection of our own. The tables are the emulator's private matter: they
//! are looked at first, and left alone when they are not as known.

use std::time::Duration;

use rusqlite::{Connection, params};

/// The columns that the remedies name.
const COLUMNS: [(&str, &str); 4] = [
    ("_stream_records", "table_name"),
    ("_stream_records", "sequence_number"),
    ("_stream_records", "created_at"),
    ("_tables", "table_name"),
];

/// The emulator looks numbers up by this very expression.
const INDEX: &str = "CREATE INDEX IF NOT EXISTS divvy_stream_records ON _stream_records
    (table_name, CAST(sequence_number AS INTEGER))";

/// DynamoDB Streams keep a record for 24 hours.
const TRIM: &str = "DELETE FROM _stream_records WHERE created_at < unixepoch() - 86400
    OR table_name NOT IN (SELECT table_name FROM _tables)";

/// The database of an emulator, seen from beside.
#[derive(Debug)]
pub(super) struct Remedies {
    /// A path, or the name of a database in memory.
    place: String,
    missing: Option<String>,
}

impl Remedies {
    /// Mends a database that the emulator has opened.
    pub(super) fn apply(place: String) -> Result<Self, rusqlite::Error> {
        let connection = connect(&place)?;
        let missing = missing(&connection)?;
        if missing.is_none() {
            connection.execute(INDEX, [])?;
            connection.execute(TRIM, [])?;
        }
        Ok(Self { place, missing })
    }

    /// Returns the column that was not found, for which nothing was mended. `None`: all is well.
    pub(super) fn missing(&self) -> Option<&str> {
        self.missing.as_deref()
    }

    /// Removes the stream of a table that is gone: another of its name has another stream.
    pub(super) fn forget(&self, table: &str) -> Result<(), rusqlite::Error> {
        if self.missing.is_none() {
            connect(&self.place)?.execute(
                "DELETE FROM _stream_records WHERE table_name = ?1",
                params![table],
            )?;
        }
        Ok(())
    }
}

fn connect(place: &str) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(place)?;
    // The emulator of another process may be writing.
    connection.busy_timeout(Duration::from_secs(30))?;
    Ok(connection)
}

fn missing(connection: &Connection) -> Result<Option<String>, rusqlite::Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2)";
    for (table, column) in COLUMNS {
        let found: bool = connection.query_row(sql, params![table, column], |row| row.get(0))?;
        if !found {
            return Ok(Some(format!("{table}.{column}")));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use dynoxide::Database;
    use serde_json::json;

    use super::*;

    /// Makes a table with a stream, and one change in it.
    fn changed(database: &Database, name: &str) {
        let table = json!({
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "station_id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "station_id", "AttributeType": "S"}],
            "StreamSpecification":
                {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        });
        let table = serde_json::from_value(table).unwrap();
        database.create_table(table).unwrap();
        let put = json!({"TableName": name, "Item": {"station_id": {"S": "35"}}});
        let put = serde_json::from_value(put).unwrap();
        database.put_item(put).unwrap();
    }

    fn streams(connection: &Connection) -> Vec<String> {
        let mut rows = connection
            .prepare("SELECT table_name FROM _stream_records ORDER BY id")
            .unwrap();
        let names = rows.query_map([], |row| row.get(0)).unwrap();
        names.map(|name| name.unwrap()).collect()
    }

    #[test]
    fn what_a_stream_keeps_is_a_day_old_at_most_and_of_a_table_that_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("local.db");
        let place = path.to_str().unwrap().to_owned();
        let database = Database::new(&place).unwrap();
        for name in ["Kept", "Yesterday", "Gone"] {
            changed(&database, name);
        }
        let gone = json!({"TableName": "Gone"});
        let gone = serde_json::from_value(gone).unwrap();
        database.delete_table(gone).unwrap();
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(
                "UPDATE _stream_records SET created_at = created_at - 90000
                 WHERE table_name = 'Yesterday'",
            )
            .unwrap();
        let before = ["Kept", "Yesterday", "Gone"];
        assert_eq!(streams(&connection), before);
        let remedies = Remedies::apply(place).unwrap();
        assert_eq!(remedies.missing(), None);
        assert_eq!(streams(&connection), ["Kept"]);
        remedies.forget("Kept").unwrap();
        assert!(streams(&connection).is_empty());
    }

    #[test]
    fn the_emulator_finds_numbers_by_the_index() {
        let place = "file:remedies-index?mode=memory&cache=shared";
        let database = Database::new(place).unwrap();
        changed(&database, "StationData");
        Remedies::apply(place.to_owned()).unwrap();
        let plan: String = Connection::open(place)
            .unwrap()
            .query_row(
                "EXPLAIN QUERY PLAN SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) + 1
                 FROM _stream_records WHERE table_name = 'StationData'",
                [],
                |row| row.get("detail"),
            )
            .unwrap();
        assert!(plan.contains("divvy_stream_records"), "{plan}");
    }

    #[test]
    fn tables_that_are_not_as_known_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.db");
        let place = path.to_str().unwrap().to_owned();
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch("CREATE TABLE _stream_records (table_name TEXT, sequence_number TEXT)")
            .unwrap();
        let remedies = Remedies::apply(place).unwrap();
        assert_eq!(remedies.missing(), Some("_stream_records.created_at"));
        remedies.forget("StationData").unwrap();
        let indexes: i64 = connection
            .query_row(
                "SELECT count(*) FROM sqlite_master WHERE type = 'index'",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(indexes, 0);
    }
}
