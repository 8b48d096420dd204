//! Patches to the emulator's database: an index on its stream records, and the removal of old
//! ones.
//!
//! With each write the emulator looks up the highest sequence number among all records of the
//! table's stream, without an index; and it never removes a record, not even with its table. Both
//! are corrected through a second connection. The schema is internal to the emulator: it is
//! checked first, and nothing is changed when a column is missing.

use std::time::Duration;

use rusqlite::{Connection, params};

/// The tables and columns that the patches use.
const COLUMNS: [(&str, &str); 4] = [
    ("_stream_records", "table_name"),
    ("_stream_records", "sequence_number"),
    ("_stream_records", "created_at"),
    ("_tables", "table_name"),
];

/// Indexes the expression by which the emulator looks sequence numbers up. Existing databases
/// contain the index under this name.
const INDEX: &str = "CREATE INDEX IF NOT EXISTS divvy_stream_records ON _stream_records
    (table_name, CAST(sequence_number AS INTEGER))";

/// Removes records older than 24 hours, as DynamoDB Streams do, and those of deleted tables.
const TRIM: &str = "DELETE FROM _stream_records WHERE created_at < unixepoch() - 86400
    OR table_name NOT IN (SELECT table_name FROM _tables)";

/// The patched database of an emulator.
#[derive(Debug)]
pub(crate) struct EmulatorPatches {
    /// A path, or the name of a database in memory.
    database: String,
    missing_column: Option<String>,
}

impl EmulatorPatches {
    /// Patches a database that the emulator has opened.
    pub(crate) fn apply(database: String) -> Result<Self, rusqlite::Error> {
        let connection = connect(&database)?;
        let missing_column = missing_column(&connection)?;
        if missing_column.is_none() {
            connection.execute(INDEX, [])?;
            connection.execute(TRIM, [])?;
        }
        Ok(Self {
            database,
            missing_column,
        })
    }

    /// Returns the column that is missing, so that nothing was patched. `None`: all exist.
    pub(crate) fn missing_column(&self) -> Option<&str> {
        self.missing_column.as_deref()
    }

    /// Removes the stream records of a deleted table: a new table of that name has a new stream.
    pub(crate) fn delete_stream_records(&self, table: &str) -> Result<(), rusqlite::Error> {
        if self.missing_column.is_none() {
            connect(&self.database)?.execute(
                "DELETE FROM _stream_records WHERE table_name = ?1",
                params![table],
            )?;
        }
        Ok(())
    }
}

fn connect(database: &str) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(database)?;
    // An emulator in another process may be writing.
    connection.busy_timeout(Duration::from_secs(30))?;
    Ok(connection)
}

fn missing_column(connection: &Connection) -> Result<Option<String>, rusqlite::Error> {
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
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "StreamSpecification":
                {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        });
        let table = serde_json::from_value(table).unwrap();
        database.create_table(table).unwrap();
        let put = json!({"TableName": name, "Item": {"id": {"S": "35"}}});
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
    fn old_stream_records_and_those_of_deleted_tables_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("local.db");
        let name = path.to_str().unwrap().to_owned();
        let database = Database::new(&name).unwrap();
        for name in ["Kept", "Yesterday", "Deleted"] {
            changed(&database, name);
        }
        let deleted = json!({"TableName": "Deleted"});
        let deleted = serde_json::from_value(deleted).unwrap();
        database.delete_table(deleted).unwrap();
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(
                "UPDATE _stream_records SET created_at = created_at - 90000
                 WHERE table_name = 'Yesterday'",
            )
            .unwrap();
        let before = ["Kept", "Yesterday", "Deleted"];
        assert_eq!(streams(&connection), before);
        let patches = EmulatorPatches::apply(name).unwrap();
        assert_eq!(patches.missing_column(), None);
        assert_eq!(streams(&connection), ["Kept"]);
        patches.delete_stream_records("Kept").unwrap();
        assert!(streams(&connection).is_empty());
    }

    #[test]
    fn the_emulator_uses_the_index() {
        let name = "file:patches-index?mode=memory&cache=shared";
        let database = Database::new(name).unwrap();
        changed(&database, "Orders");
        EmulatorPatches::apply(name.to_owned()).unwrap();
        let plan: String = Connection::open(name)
            .unwrap()
            .query_row(
                "EXPLAIN QUERY PLAN SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) + 1
                 FROM _stream_records WHERE table_name = 'Orders'",
                [],
                |row| row.get("detail"),
            )
            .unwrap();
        assert!(plan.contains("divvy_stream_records"), "{plan}");
    }

    #[test]
    fn a_database_without_a_known_column_is_not_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.db");
        let name = path.to_str().unwrap().to_owned();
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch("CREATE TABLE _stream_records (table_name TEXT, sequence_number TEXT)")
            .unwrap();
        let patches = EmulatorPatches::apply(name).unwrap();
        assert_eq!(patches.missing_column(), Some("_stream_records.created_at"));
        patches.delete_stream_records("Orders").unwrap();
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
