//! The definitions of the tables for Athena and for the Glue catalog.
//!
//! Both have partition projection: Athena computes which partitions there may be from the properties of
//! the table, so that none has to be registered. Other engines that use the catalog ignore these
//! properties and need `MSCK REPAIR TABLE`.

use serde_json::{Map, Value, json};

use super::S3Location;
use super::shape::{PartitionKey, TableShape};

/// The database of the tables.
pub(super) const DATABASE: &str = "divvy";

/// A table with rows, and what its definition states of them.
pub(super) struct DefinedTable<'a> {
    pub(super) table: &'a TableShape,
    /// The ids of the systems with rows.
    pub(super) systems: Vec<String>,
    /// The first and the last year with rows. `None` for a table that is not partitioned by year.
    pub(super) years: Option<(i64, i64)>,
    pub(super) location: &'a S3Location,
}

impl DefinedTable<'_> {
    fn folder(&self) -> String {
        format!("{}/", self.location.join(self.table.name))
    }

    /// Lists the properties of the table: format and partition projection.
    fn properties(&self) -> Vec<(String, String)> {
        let mut properties = vec![
            ("classification".to_owned(), "parquet".to_owned()),
            ("projection.enabled".into(), "true".into()),
        ];
        let mut template = self.location.join(self.table.name);
        for key in self.table.partitions {
            let name = key.name();
            template += &format!("/{name}=${{{name}}}");
            let mut set = |property: &str, value: String| {
                properties.push((format!("projection.{name}.{property}"), value));
            };
            match key {
                PartitionKey::System => {
                    set("type", "enum".into());
                    set("values", self.systems.join(","));
                }
                PartitionKey::Year => {
                    let (first, last) = self.years.unwrap_or_default();
                    set("type", "integer".into());
                    set("range", format!("{first},{last}"));
                }
                PartitionKey::Month => {
                    set("type", "integer".into());
                    set("range", "1,12".into());
                    set("digits", "2".into());
                }
            }
        }
        properties.push(("storage.location.template".into(), template));
        properties
    }

    /// Writes the statement that defines the table in Athena, without a semicolon.
    pub(super) fn athena(&self) -> String {
        let column = |name: &str, kind: &str, about: &str| {
            format!("  `{name}` {kind} COMMENT {}", quoted(about))
        };
        let columns = self.table.columns.iter();
        let columns: Vec<String> = columns
            .map(|shape| column(shape.name, shape.kind.athena(), shape.about))
            .collect();
        let keys = self.table.partitions.iter();
        let keys: Vec<String> = keys
            .map(|key| column(key.name(), key.kind().athena(), key.about()))
            .collect();
        let properties = self.properties().into_iter();
        let properties: Vec<String> = properties
            .map(|(name, value)| format!("  {} = {}", quoted(&name), quoted(&value)))
            .collect();
        format!(
            "CREATE EXTERNAL TABLE IF NOT EXISTS `{DATABASE}`.`{}` (\n{}\n)\n\
             COMMENT {}\n\
             PARTITIONED BY (\n{}\n)\n\
             STORED AS PARQUET\n\
             LOCATION {}\n\
             TBLPROPERTIES (\n{}\n)",
            self.table.name,
            columns.join(",\n"),
            quoted(self.table.about),
            keys.join(",\n"),
            quoted(&self.folder()),
            properties.join(",\n"),
        )
    }

    /// Writes the input of `aws glue create-table`.
    pub(super) fn glue(&self) -> String {
        const HIVE: &str = "org.apache.hadoop.hive.ql.io.parquet";
        let column = |name: &str, kind: &str, about: &str| -> Value {
            json!({ "Name": name, "Type": kind, "Comment": about })
        };
        let columns = self.table.columns.iter();
        let columns: Vec<Value> = columns
            .map(|shape| column(shape.name, shape.kind.athena(), shape.about))
            .collect();
        let keys = self.table.partitions.iter();
        let keys: Vec<Value> = keys
            .map(|key| column(key.name(), key.kind().athena(), key.about()))
            .collect();
        let mut parameters: Map<String, Value> = (self.properties().into_iter())
            .map(|(name, value)| (name, value.into()))
            .collect();
        parameters.insert("EXTERNAL".into(), "TRUE".into());
        let input = json!({
            "DatabaseName": DATABASE,
            "TableInput": {
                "Name": self.table.name,
                "Description": self.table.about,
                "TableType": "EXTERNAL_TABLE",
                "Parameters": parameters,
                "PartitionKeys": keys,
                "StorageDescriptor": {
                    "Columns": columns,
                    "Location": self.folder(),
                    "InputFormat": format!("{HIVE}.MapredParquetInputFormat"),
                    "OutputFormat": format!("{HIVE}.MapredParquetOutputFormat"),
                    "SerdeInfo": {
                        "SerializationLibrary": format!("{HIVE}.serde.ParquetHiveSerDe"),
                        "Parameters": { "serialization.format": "1" },
                    },
                },
            },
        });
        format!("{input:#}\n")
    }
}

/// Writes a text as a literal of SQL. No text of a definition has quotes: shapes have plain comments, ids of
/// systems are those of file names, and locations are checked.
fn quoted(text: &str) -> String {
    format!("'{text}'")
}
