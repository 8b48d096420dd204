//! The operations: capacity is checked before the emulator executes a request, and charged by
//! what the emulator has counted.

mod admission;
mod backups;
mod batch;
mod items;
mod transactions;
mod warm;

use std::time::Duration;

use dynoxide::actions::TableDescription;
use dynoxide::actions::create_table::CreateTableRequest;
use dynoxide::actions::delete_table::DeleteTableRequest;
use dynoxide::actions::describe_table::DescribeTableRequest;
use dynoxide::actions::get_records::{GetRecordsRequest, Record};
use dynoxide::actions::update_table::UpdateTableRequest;
use dynoxide::{Database, DynoxideError};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::capacity::LimiterOptions;
use crate::emulator_patches::EmulatorPatches;
use crate::faults::DrawnFaults;
use crate::state::State;
use crate::table::Table;
use crate::wire::{RequestError, parse, write};

/// One request while it is handled.
pub(crate) struct Request<'a> {
    pub(crate) database: &'a Database,
    pub(crate) patches: &'a EmulatorPatches,
    pub(crate) limits: LimiterOptions,
    pub(crate) state: &'a mut State,
    pub(crate) faults: DrawnFaults,
    pub(crate) now: Instant,
}

impl Request<'_> {
    /// Executes an operation. Returns the body of the response.
    pub(crate) fn run(&mut self, operation: &str, body: &[u8]) -> Result<Vec<u8>, RequestError> {
        let database = self.database;
        match operation {
            "PutItem" => self.put_item(parse(body)?),
            "UpdateItem" => self.update_item(parse(body)?),
            "DeleteItem" => self.delete_item(parse(body)?),
            "BatchWriteItem" => self.batch_write_item(parse(body)?),
            "TransactWriteItems" => self.transact_write_items(parse(body)?),
            "GetItem" => self.get_item(parse(body)?),
            "BatchGetItem" => self.batch_get_item(parse(body)?),
            "Query" => self.query(parse(body)?),
            "Scan" => self.scan(parse(body)?),
            "TransactGetItems" => self.transact_get_items(parse(body)?),
            "CreateTable" => self.create_table(parse(body)?),
            "UpdateTable" => self.update_table(parse(body)?),
            "DeleteTable" => self.delete_table(parse(body)?),
            "DescribeTable" => {
                let described = database.describe_table(parse(body)?)?;
                write(&json!({ "Table": self.with_warm_units(&described.table) }))
            }
            "ListTables" => write(&database.list_tables(parse(body)?)?),
            "DescribeTimeToLive" => write(&database.describe_time_to_live(parse(body)?)?),
            "UpdateTimeToLive" => write(&database.update_time_to_live(parse(body)?)?),
            "TagResource" => write(&database.tag_resource(parse(body)?)?),
            "UntagResource" => write(&database.untag_resource(parse(body)?)?),
            "ListTagsOfResource" => write(&database.list_tags_of_resource(parse(body)?)?),
            "UpdateContinuousBackups" => self.update_continuous_backups(&parse(body)?),
            "DescribeContinuousBackups" => self.describe_continuous_backups(&parse(body)?),
            "ListStreams" => write(&database.list_streams(parse(body)?)?),
            "DescribeStream" => write(&database.describe_stream(parse(body)?)?),
            "GetShardIterator" => write(&database.get_shard_iterator(parse(body)?)?),
            "GetRecords" => self.get_records(parse(body)?),
            _ => Err(RequestError::UnknownOperation),
        }
    }

    fn create_table(&mut self, mut request: Value) -> Result<Vec<u8>, RequestError> {
        let warm = warm::take(&mut request);
        let request: CreateTableRequest = parse(request.to_string().as_bytes())?;
        let name = request.table_name.clone();
        let response = self.database.create_table(request)?;
        self.state.tables.remove(&name);
        self.load_table(&name);
        self.warm(&name, &warm)?;
        let description = self.with_warm_units(&response.table_description);
        write(&json!({ "TableDescription": description }))
    }

    fn update_table(&mut self, mut request: Value) -> Result<Vec<u8>, RequestError> {
        let warm = warm::take(&mut request);
        // The emulator refuses an update that changes nothing else.
        let is_warmed_only = !warm.is_empty() && request.as_object().is_some_and(|r| r.len() == 1);
        let name = if is_warmed_only {
            request["TableName"].as_str().unwrap_or_default().to_owned()
        } else {
            let request: UpdateTableRequest = parse(request.to_string().as_bytes())?;
            let name = request.table_name.clone();
            self.load_table(&name);
            self.count_decrease(&name, request.provisioned_throughput.as_ref())?;
            self.database.update_table(request)?;
            name
        };
        self.load_table(&name);
        // The emulator updates at once, and its response describes the table before the update.
        let mut description = self.describe(&name)?;
        if let Some(table) = self.state.tables.get_mut(&name) {
            table.update(&description, self.limits, self.now);
        }
        self.warm(&name, &warm)?;
        description.table_status = "UPDATING".to_owned();
        write(&json!({ "TableDescription": self.with_warm_units(&description) }))
    }

    /// Refuses the fifth decrease of a table's capacity within a day, unless there was none in the last
    /// hour. DynamoDB counts days by UTC.
    ///
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html#decreasing-provisioned-throughput>
    fn count_decrease(
        &mut self,
        name: &str,
        throughput: Option<&serde_json::Value>,
    ) -> Result<(), RequestError> {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        const HOUR: Duration = Duration::from_secs(3600);
        const AT_ONCE: usize = 4;
        let before = self.describe(name)?.provisioned_throughput;
        let (Some(before), Some(throughput)) = (before, throughput) else {
            return Ok(());
        };
        let units = |field: &str| throughput[field].as_u64().unwrap_or(u64::MAX);
        if units("WriteCapacityUnits") >= before.write_capacity_units
            && units("ReadCapacityUnits") >= before.read_capacity_units
        {
            return Ok(());
        }
        let now = self.now;
        let decreases = self.state.decreases.entry(name.to_owned()).or_default();
        decreases.retain(|at| now - *at < DAY);
        let is_soon = decreases.last().is_some_and(|last| now - *last < HOUR);
        if decreases.len() >= AT_ONCE && is_soon {
            let message = "Subscriber limit exceeded: Provisioned throughput decreases are limited within \
                           a given UTC day. After the first 4 decreases, each subsequent decrease in the \
                           same UTC day can be performed at most once every 3600 seconds.";
            return Err(DynoxideError::LimitExceededException(message.into()).into());
        }
        decreases.push(now);
        Ok(())
    }

    fn delete_table(&mut self, request: DeleteTableRequest) -> Result<Vec<u8>, RequestError> {
        let name = request.table_name.clone();
        let response = self.database.delete_table(request)?;
        self.state.tables.remove(&name);
        self.state.recoverable.remove(&name);
        self.state.warm.remove(&name);
        self.patches
            .delete_stream_records(&name)
            .map_err(|error| DynoxideError::InternalServerError(error.to_string()))?;
        write(&response)
    }

    /// Reads a stream, without the records of writes that changed nothing: DynamoDB makes none.
    fn get_records(&mut self, request: GetRecordsRequest) -> Result<Vec<u8>, RequestError> {
        let mut response = self.database.get_records(request)?;
        let changed = |record: &Record| {
            let change = &record.dynamodb;
            record.event_name != "MODIFY"
                || change.new_image.is_none()
                || change.new_image != change.old_image
        };
        response.records.retain(changed);
        write(&response)
    }

    /// Reads the description of a table, unless that was done before. Returns whether the table
    /// exists.
    fn load_table(&mut self, name: &str) -> bool {
        if self.state.tables.contains_key(name) {
            return true;
        }
        let Ok(description) = self.describe(name) else {
            return false;
        };
        let table = Table::new(&description, self.limits, self.now);
        self.state.tables.insert(name.to_owned(), table);
        true
    }

    fn describe(&self, name: &str) -> Result<TableDescription, DynoxideError> {
        let request = DescribeTableRequest {
            table_name: name.to_owned(),
        };
        Ok(self.database.describe_table(request)?.table)
    }
}
