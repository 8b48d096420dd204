//! One request in, one answer out: capacity is looked at before the emulator sees a request, and
//! taken by what the emulator says that it used.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dynoxide::actions::batch_get_item::{
    BatchGetItemRequest, BatchGetItemResponse, KeysAndAttributes,
};
use dynoxide::actions::batch_write_item::{
    BatchWriteItemRequest, BatchWriteItemResponse, WriteRequest,
};
use dynoxide::actions::create_table::CreateTableRequest;
use dynoxide::actions::delete_item::DeleteItemRequest;
use dynoxide::actions::delete_table::DeleteTableRequest;
use dynoxide::actions::describe_table::DescribeTableRequest;
use dynoxide::actions::get_item::GetItemRequest;
use dynoxide::actions::get_records::{GetRecordsRequest, Record};
use dynoxide::actions::put_item::PutItemRequest;
use dynoxide::actions::query::QueryRequest;
use dynoxide::actions::scan::ScanRequest;
use dynoxide::actions::transact_get_items::TransactGetItemsRequest;
use dynoxide::actions::transact_write_items::{TransactWriteItem, TransactWriteItemsRequest};
use dynoxide::actions::update_item::UpdateItemRequest;
use dynoxide::actions::update_table::UpdateTableRequest;
use dynoxide::errors::CancellationReason;
use dynoxide::types::{
    CapacityDetail, ConsumedCapacity, MAX_ITEM_SIZE, item_size, write_capacity_units,
};
use dynoxide::validation::validate_item_attribute_values;
use dynoxide::{Database, DynoxideError, Item};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::Instant;

use super::capacity::Direction;
use super::faults::{FaultCounts, Faults, Injector, Strike, set_aside};
use super::meter::{Meter, TableUse};
use super::remedies::Remedies;
use super::table::{Change, Rules, Table, Want};
use super::throttle::{self, Reason};

/// What a request is answered with.
#[derive(Debug)]
pub(super) enum Reply {
    Answer(Answer),
    /// Nothing, for as long as the client waits.
    Silence,
    /// An end of the connection.
    Cut,
}

/// An answer with the status of HTTP and a body of JSON.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// The emulator and what stands before it.
#[derive(Debug)]
pub(super) struct Front {
    database: Emulator,
    remedies: Remedies,
    rules: Rules,
    state: Mutex<State>,
}

/// The emulator, which has nothing to show.
struct Emulator(Database);

impl std::fmt::Debug for Emulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Emulator")
    }
}

#[derive(Debug)]
struct State {
    tables: HashMap<String, Table>,
    injector: Injector,
    operations: BTreeMap<String, u64>,
    throttled_requests: u64,
    unprocessed_items: u64,
    faults: FaultCounts,
}

/// Why a request is refused.
enum Refusal {
    Emulator(DynoxideError),
    Throttled(Vec<Reason>),
    UnknownOperation,
}

impl From<DynoxideError> for Refusal {
    fn from(error: DynoxideError) -> Self {
        Self::Emulator(error)
    }
}

impl Front {
    pub(super) fn new(
        database: Database,
        remedies: Remedies,
        rules: Rules,
        faults: Faults,
    ) -> Self {
        Self {
            database: Emulator(database),
            remedies,
            rules,
            state: Mutex::new(State {
                tables: HashMap::new(),
                injector: Injector::new(faults),
                operations: BTreeMap::new(),
                throttled_requests: 0,
                unprocessed_items: 0,
                faults: FaultCounts::default(),
            }),
        }
    }

    pub(super) fn remedies(&self) -> &Remedies {
        &self.remedies
    }

    pub(super) fn set_faults(&self, faults: Faults) {
        self.state().injector = Injector::new(faults);
    }

    pub(super) fn meter(&self) -> Meter {
        let state = self.state();
        let tables = state.tables.iter().map(|(name, table)| {
            let indexes = table.indexes.iter();
            let used = TableUse {
                own: table.lanes.used(),
                indexes: indexes
                    .map(|index| (index.name.clone(), index.lanes.used()))
                    .collect(),
            };
            (name.clone(), used)
        });
        Meter {
            operations: state.operations.clone(),
            throttled_requests: state.throttled_requests,
            unprocessed_items: state.unprocessed_items,
            tables: tables.collect(),
            faults: state.faults,
        }
    }

    /// Answers one request. `target` is the header that names the operation.
    ///
    /// The emulator does one thing at a time anyway, so a request is looked at, done and taken
    /// from the buckets before the next one.
    pub(super) fn call(&self, target: Option<&str>, body: &[u8]) -> Reply {
        let mut state = self.state();
        let Some(operation) = target.and_then(operation) else {
            return Reply::Answer(refuse(&Refusal::UnknownOperation));
        };
        match state.operations.get_mut(operation) {
            Some(n) => *n += 1,
            None => {
                state.operations.insert(operation.to_owned(), 1);
            }
        }
        let strike = state.strike(operation);
        if strike.timeout {
            state.faults.timeouts += 1;
            return Reply::Silence;
        }
        if strike.internal_error {
            state.faults.internal_errors += 1;
            let error = DynoxideError::InternalServerError("injected: try again".to_owned());
            return Reply::Answer(refuse(&error.into()));
        }
        state.faults.throttles += u64::from(strike.throttle);
        let mut request = Request {
            database: &self.database.0,
            remedies: &self.remedies,
            rules: self.rules,
            state: &mut state,
            strike,
            now: Instant::now(),
        };
        let answer = match request.run(operation, body) {
            Ok(body) => Answer { status: 200, body },
            Err(refusal) => {
                if let Refusal::Throttled(_) = refusal {
                    state.throttled_requests += 1;
                }
                refuse(&refusal)
            }
        };
        if strike.dropped_reply {
            state.faults.dropped_replies += 1;
            return Reply::Cut;
        }
        Reply::Answer(answer)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What a panic left behind is still a whole state: it is only ever added to.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Draws what strikes a request.
    fn strike(&mut self, operation: &str) -> Strike {
        match operation {
            "PutItem" | "GetItem" | "UpdateItem" | "DeleteItem" | "BatchWriteItem"
            | "BatchGetItem" | "Query" | "Scan" | "TransactWriteItems" | "TransactGetItems" => {
                self.injector.strike()
            }
            "GetRecords" => Strike {
                internal_error: self.injector.strike().internal_error,
                ..Strike::default()
            },
            _ => Strike::default(),
        }
    }
}

/// Returns the operation that a target names. `None`: of another service.
fn operation(target: &str) -> Option<&str> {
    let tables = target.strip_prefix("DynamoDB_20120810.");
    tables.or_else(|| target.strip_prefix("DynamoDBStreams_20120810."))
}

fn refuse(refusal: &Refusal) -> Answer {
    match refusal {
        Refusal::Emulator(error) => Answer {
            status: error.status_code(),
            body: error.to_json().into_bytes(),
        },
        Refusal::Throttled(reasons) => Answer {
            status: 400,
            body: throttle::body(reasons),
        },
        Refusal::UnknownOperation => Answer {
            status: 400,
            body: br#"{"__type":"com.amazon.coral.service#UnknownOperationException"}"#.to_vec(),
        },
    }
}

/// How much of the capacity report a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Report {
    Nothing,
    Total,
    Indexes,
}

impl Report {
    /// Takes down what a client wants; the emulator is always asked for everything.
    fn replace(wanted: &mut Option<String>) -> Self {
        let report = match wanted.as_deref() {
            Some("TOTAL") => Self::Total,
            Some("INDEXES") => Self::Indexes,
            // Left for the emulator to refuse.
            Some(other) if other != "NONE" => return Self::Nothing,
            _ => Self::Nothing,
        };
        *wanted = everything();
        report
    }

    /// Leaves of a report what the client wants.
    fn trim(self, used: Option<ConsumedCapacity>) -> Option<ConsumedCapacity> {
        match self {
            Self::Nothing => None,
            Self::Indexes => used,
            Self::Total => used.map(|used| ConsumedCapacity {
                table: None,
                global_secondary_indexes: None,
                local_secondary_indexes: None,
                vector_indexes: None,
                ..used
            }),
        }
    }

    fn trim_all(self, used: Vec<ConsumedCapacity>) -> Option<Vec<ConsumedCapacity>> {
        if self == Self::Nothing {
            return None;
        }
        Some(
            used.into_iter()
                .filter_map(|one| self.trim(Some(one)))
                .collect(),
        )
    }
}

fn everything() -> Option<String> {
    Some("INDEXES".to_owned())
}

/// Units promised to the parts of a batch that go through, before the emulator has counted them.
#[derive(Default)]
struct Promised {
    table: f64,
    indexes: Vec<f64>,
}

impl Promised {
    fn nothing(table: &Table) -> Self {
        Self {
            table: 0.0,
            indexes: vec![0.0; table.indexes.len()],
        }
    }

    fn add(&mut self, want: &Want) {
        self.table += want.units;
        for entry in &want.entries {
            self.indexes[entry.index] += entry.units;
        }
    }

    fn total(&self) -> f64 {
        self.table + self.indexes.iter().sum::<f64>()
    }
}

/// One request being answered.
struct Request<'a> {
    database: &'a Database,
    remedies: &'a Remedies,
    rules: Rules,
    state: &'a mut State,
    strike: Strike,
    now: Instant,
}

impl Request<'_> {
    fn run(&mut self, operation: &str, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let database = self.database;
        match operation {
            "PutItem" => self.put_item(read(body)?),
            "UpdateItem" => self.update_item(read(body)?),
            "DeleteItem" => self.delete_item(read(body)?),
            "BatchWriteItem" => self.batch_write_item(read(body)?),
            "TransactWriteItems" => self.transact_write_items(read(body)?),
            "GetItem" => self.get_item(read(body)?),
            "BatchGetItem" => self.batch_get_item(read(body)?),
            "Query" => self.query(read(body)?),
            "Scan" => self.scan(read(body)?),
            "TransactGetItems" => self.transact_get_items(read(body)?),
            "CreateTable" => self.create_table(read(body)?),
            "UpdateTable" => self.update_table(read(body)?),
            "DeleteTable" => self.delete_table(read(body)?),
            "DescribeTable" => write(&database.describe_table(read(body)?)?),
            "ListTables" => write(&database.list_tables(read(body)?)?),
            "DescribeTimeToLive" => write(&database.describe_time_to_live(read(body)?)?),
            "UpdateTimeToLive" => write(&database.update_time_to_live(read(body)?)?),
            "TagResource" => write(&database.tag_resource(read(body)?)?),
            "UntagResource" => write(&database.untag_resource(read(body)?)?),
            "ListTagsOfResource" => write(&database.list_tags_of_resource(read(body)?)?),
            "ListStreams" => write(&database.list_streams(read(body)?)?),
            "DescribeStream" => write(&database.describe_stream(read(body)?)?),
            "GetShardIterator" => write(&database.get_shard_iterator(read(body)?)?),
            "GetRecords" => self.get_records(read(body)?),
            _ => Err(Refusal::UnknownOperation),
        }
    }

    fn create_table(&mut self, request: CreateTableRequest) -> Result<Vec<u8>, Refusal> {
        let name = request.table_name.clone();
        let response = self.database.create_table(request)?;
        self.state.tables.remove(&name);
        self.know(&name);
        write(&response)
    }

    fn update_table(&mut self, request: UpdateTableRequest) -> Result<Vec<u8>, Refusal> {
        let name = request.table_name.clone();
        self.know(&name);
        self.database.update_table(request)?;
        // The emulator answers with the table as it was, and is done at once.
        let mut description = self.describe(&name)?;
        if let Some(table) = self.state.tables.get_mut(&name) {
            table.settle(&description, self.rules, self.now);
        }
        description.table_status = "UPDATING".to_owned();
        write(&json!({ "TableDescription": description }))
    }

    fn delete_table(&mut self, request: DeleteTableRequest) -> Result<Vec<u8>, Refusal> {
        let name = request.table_name.clone();
        let response = self.database.delete_table(request)?;
        self.state.tables.remove(&name);
        self.remedies
            .forget(&name)
            .map_err(|error| DynoxideError::InternalServerError(error.to_string()))?;
        write(&response)
    }

    fn put_item(&mut self, mut request: PutItemRequest) -> Result<Vec<u8>, Refusal> {
        let report = Report::replace(&mut request.return_consumed_capacity);
        let name = request.table_name.clone();
        let want = self.admit(&name, Change::Put(&request.item))?;
        let conditional = request.condition_expression.is_some() || request.expected.is_some();
        let item = conditional.then(|| request.item.clone());
        let mut response = match self.database.put_item(request) {
            Ok(response) => response,
            Err(error) => return Err(self.failed(&name, item.as_ref(), error)),
        };
        self.charge_write(&name, want.as_ref(), response.consumed_capacity.as_ref());
        response.consumed_capacity = report.trim(response.consumed_capacity);
        write(&response)
    }

    fn update_item(&mut self, mut request: UpdateItemRequest) -> Result<Vec<u8>, Refusal> {
        let report = Report::replace(&mut request.return_consumed_capacity);
        let name = request.table_name.clone();
        let mut changed = named(
            request.update_expression.as_deref().unwrap_or_default(),
            request.expression_attribute_names.as_ref(),
        );
        changed.extend(
            request
                .attribute_updates
                .iter()
                .flatten()
                .map(|(name, _)| name.clone()),
        );
        let want = self.admit(&name, Change::Update(&request.key, &changed))?;
        let key = request.key.clone();
        let mut response = match self.database.update_item(request) {
            Ok(response) => response,
            Err(error) => return Err(self.failed(&name, Some(&key), error)),
        };
        self.charge_write(&name, want.as_ref(), response.consumed_capacity.as_ref());
        response.consumed_capacity = report.trim(response.consumed_capacity);
        write(&response)
    }

    fn delete_item(&mut self, mut request: DeleteItemRequest) -> Result<Vec<u8>, Refusal> {
        let report = Report::replace(&mut request.return_consumed_capacity);
        let name = request.table_name.clone();
        let want = self.admit(&name, Change::Delete(&request.key))?;
        let key = request.key.clone();
        let mut response = match self.database.delete_item(request) {
            Ok(response) => response,
            Err(error) => return Err(self.failed(&name, Some(&key), error)),
        };
        self.charge_write(&name, want.as_ref(), response.consumed_capacity.as_ref());
        response.consumed_capacity = report.trim(response.consumed_capacity);
        write(&response)
    }

    fn batch_write_item(&mut self, mut request: BatchWriteItemRequest) -> Result<Vec<u8>, Refusal> {
        let report = Report::replace(&mut request.return_consumed_capacity);
        if !self.is_sound(&request) {
            // The emulator says what is wrong with it. Were it nothing, it would be paid for.
            let mut response = self.database.batch_write_item(request)?;
            let used = response.consumed_capacity.take().unwrap_or_default();
            self.charge_all(&used, Direction::Write);
            response.consumed_capacity = report.trim_all(used);
            return write(&response);
        }
        // In one order, so that a run can be repeated.
        let mut tables: Vec<_> = request.request_items.into_iter().collect();
        tables.sort_by(|one, other| one.0.cmp(&other.0));
        let aside = self.aside(tables.iter().map(|(_, writes)| writes.len()).sum());
        let mut aside = aside.into_iter();
        let mut response = BatchWriteItemResponse::default();
        let mut used = Vec::new();
        let mut reasons = Vec::new();
        let mut done = 0;
        for (name, writes) in tables {
            let (set_aside, mut pending): (Vec<_>, Vec<_>) = writes
                .into_iter()
                .partition(|_| aside.next().unwrap_or_default());
            loop {
                let (admitted, rest, promised) = self.split(&name, pending, &mut reasons);
                pending = rest;
                if admitted.is_empty() {
                    break;
                }
                done += admitted.len();
                let part = self.database.batch_write_item(BatchWriteItemRequest {
                    request_items: HashMap::from([(name.clone(), admitted)]),
                    return_consumed_capacity: everything(),
                    return_item_collection_metrics: request.return_item_collection_metrics.clone(),
                })?;
                let part_used = part.consumed_capacity.unwrap_or_default();
                self.charge_all(&part_used, Direction::Write);
                let total: f64 = part_used.iter().map(|one| one.capacity_units).sum();
                merge(&mut used, part_used);
                if let Some(metrics) = part.item_collection_metrics {
                    let all = response.item_collection_metrics.get_or_insert_default();
                    for (name, more) in metrics {
                        all.entry(name).or_default().extend(more);
                    }
                }
                // What cost less than it seemed (an entry that did not change) leaves room.
                if pending.is_empty() || total >= promised {
                    break;
                }
            }
            let unprocessed: Vec<_> = set_aside.iter().chain(&pending).map(again).collect();
            if !unprocessed.is_empty() {
                self.state.unprocessed_items += unprocessed.len() as u64;
                response.unprocessed_items.insert(name, unprocessed.into());
            }
        }
        if done == 0 {
            return Err(Refusal::Throttled(reasons));
        }
        response.consumed_capacity = report.trim_all(used);
        write(&response)
    }

    fn transact_write_items(
        &mut self,
        mut request: TransactWriteItemsRequest,
    ) -> Result<Vec<u8>, Refusal> {
        let report = Report::replace(&mut request.return_consumed_capacity);
        let mut cancelled = Vec::new();
        let mut wants = Vec::new();
        for action in &request.transact_items {
            let Some(action) = Action::of(action) else {
                continue;
            };
            let admitted = self.admit(action.table, action.change());
            cancelled.push(match admitted {
                Ok(want) => {
                    wants.extend(want.map(|want| (action.table.to_owned(), want)));
                    None
                }
                Err(Refusal::Throttled(reasons)) => reasons.into_iter().next(),
                Err(other) => return Err(other),
            });
        }
        if cancelled.iter().any(Option::is_some) {
            self.state.throttled_requests += 1;
            return Err(cancellation(&cancelled).into());
        }
        let mut response = match self.database.transact_write_items(request) {
            Ok(response) => response,
            Err(error) => {
                if let DynoxideError::TransactionCanceledException(..) = error {
                    // It was prepared all the same.
                    for (name, want) in &wants {
                        if let Some(table) = self.state.tables.get_mut(name) {
                            table.lanes.write.charge(2.0 * want.units, self.now);
                        }
                    }
                }
                return Err(error.into());
            }
        };
        for (name, want) in &wants {
            if let Some(table) = self.state.tables.get_mut(name) {
                table.charge_keys(want, self.now);
            }
        }
        let used = response.consumed_capacity.take().unwrap_or_default();
        for one in &used {
            // A repeated token reads what the first one wrote.
            let direction = match one.read_capacity_units {
                Some(_) => Direction::Read,
                None => Direction::Write,
            };
            self.charge_all(std::slice::from_ref(one), direction);
        }
        response.consumed_capacity = report.trim_all(used);
        write(&response)
    }

    fn get_item(&mut self, mut request: GetItemRequest) -> Result<Vec<u8>, Refusal> {
        let report = Report::replace(&mut request.return_consumed_capacity);
        let name = request.table_name.clone();
        let key = self.partition(&name, &request.key);
        self.admit_read(&name, None, key)?;
        let mut response = self.database.get_item(request)?;
        self.charge_read(&name, key, response.consumed_capacity.as_ref());
        response.consumed_capacity = report.trim(response.consumed_capacity);
        write(&response)
    }

    fn batch_get_item(&mut self, mut request: BatchGetItemRequest) -> Result<Vec<u8>, Refusal> {
        let report = Report::replace(&mut request.return_consumed_capacity);
        let keys: usize = request
            .request_items
            .values()
            .map(|wanted| wanted.keys.len())
            .sum();
        let sound = (1..=100).contains(&keys)
            && request.request_items.iter().all(|(name, wanted)| {
                self.know(name) && {
                    let table = &self.state.tables[name];
                    !wanted.keys.is_empty() && distinct(table, wanted.keys.iter())
                }
            });
        if !sound {
            let mut response = self.database.batch_get_item(request)?;
            let used = response.consumed_capacity.take().unwrap_or_default();
            self.charge_all(&used, Direction::Read);
            response.consumed_capacity = report.trim_all(used);
            return write(&response);
        }
        let mut tables: Vec<_> = request.request_items.into_iter().collect();
        tables.sort_by(|one, other| one.0.cmp(&other.0));
        let mut aside = self.aside(keys).into_iter();
        let mut response = BatchGetItemResponse::default();
        let mut used = Vec::new();
        let mut reasons = Vec::new();
        let mut done = 0;
        for (name, mut wanted) in tables {
            let (mut unprocessed, mut pending): (Vec<_>, Vec<_>) = std::mem::take(&mut wanted.keys)
                .into_iter()
                .partition(|_| aside.next().unwrap_or_default());
            // The least that a key can cost: half a unit, twice that when strongly consistent.
            let least = if wanted.consistent_read == Some(true) {
                1.0
            } else {
                0.5
            };
            while !pending.is_empty() {
                let (admitted, rest) = self.split_keys(&name, pending, least, &mut reasons);
                pending = rest;
                if admitted.is_empty() {
                    break;
                }
                done += admitted.len();
                let part = self.database.batch_get_item(BatchGetItemRequest {
                    request_items: HashMap::from([(name.clone(), with_keys(&wanted, admitted))]),
                    return_consumed_capacity: everything(),
                })?;
                let part_used = part.consumed_capacity.unwrap_or_default();
                self.charge_all(&part_used, Direction::Read);
                merge(&mut used, part_used);
                for (name, items) in part.responses {
                    response.responses.entry(name).or_default().extend(items);
                }
                for (_, more) in part.unprocessed_keys {
                    // Its own bound of 16 MB: the emulator gives them back in the same form.
                    let more: Option<Vec<Item>> = more
                        .get("Keys")
                        .and_then(|keys| serde_json::from_value(keys.clone()).ok());
                    unprocessed.extend(more.unwrap_or_default());
                }
            }
            unprocessed.extend(pending);
            if !unprocessed.is_empty() {
                self.state.unprocessed_items += unprocessed.len() as u64;
                let again = keys_again(&wanted, &unprocessed);
                response.unprocessed_keys.insert(name, again);
            }
        }
        if done == 0 {
            return Err(Refusal::Throttled(reasons));
        }
        response.consumed_capacity = report.trim_all(used);
        write(&response)
    }

    fn query(&mut self, mut request: QueryRequest) -> Result<Vec<u8>, Refusal> {
        let report = Report::replace(&mut request.return_consumed_capacity);
        let name = request.table_name.clone();
        self.admit_read(&name, request.index_name.as_deref(), None)?;
        let mut response = self.database.query(request)?;
        self.charge_read(&name, None, response.consumed_capacity.as_ref());
        response.consumed_capacity = report.trim(response.consumed_capacity);
        write(&response)
    }

    fn scan(&mut self, mut request: ScanRequest) -> Result<Vec<u8>, Refusal> {
        let report = Report::replace(&mut request.return_consumed_capacity);
        let name = request.table_name.clone();
        self.admit_read(&name, request.index_name.as_deref(), None)?;
        let mut response = self.database.scan(request)?;
        self.charge_read(&name, None, response.consumed_capacity.as_ref());
        response.consumed_capacity = report.trim(response.consumed_capacity);
        write(&response)
    }

    fn transact_get_items(
        &mut self,
        mut request: TransactGetItemsRequest,
    ) -> Result<Vec<u8>, Refusal> {
        let report = Report::replace(&mut request.return_consumed_capacity);
        let mut cancelled = Vec::new();
        for action in &request.transact_items {
            let key = self.partition(&action.get.table_name, &action.get.key);
            cancelled.push(match self.admit_read(&action.get.table_name, None, key) {
                Err(Refusal::Throttled(reasons)) => reasons.into_iter().next(),
                _ => None,
            });
        }
        if cancelled.iter().any(Option::is_some) {
            self.state.throttled_requests += 1;
            return Err(cancellation(&cancelled).into());
        }
        let mut response = self.database.transact_get_items(request)?;
        let used = response.consumed_capacity.take().unwrap_or_default();
        self.charge_all(&used, Direction::Read);
        response.consumed_capacity = report.trim_all(used);
        write(&response)
    }

    /// Reads a stream, without the records of writes that changed nothing: DynamoDB makes none.
    fn get_records(&mut self, request: GetRecordsRequest) -> Result<Vec<u8>, Refusal> {
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

    /// Learns of a table what the buckets need. Returns whether there is such a table.
    fn know(&mut self, name: &str) -> bool {
        if self.state.tables.contains_key(name) {
            return true;
        }
        let Ok(description) = self.describe(name) else {
            return false;
        };
        let table = Table::new(&description, self.rules, self.now);
        self.state.tables.insert(name.to_owned(), table);
        true
    }

    fn describe(&self, name: &str) -> Result<dynoxide::actions::TableDescription, DynoxideError> {
        let request = DescribeTableRequest {
            table_name: name.to_owned(),
        };
        Ok(self.database.describe_table(request)?.table)
    }

    fn partition(&mut self, name: &str, key: &Item) -> Option<u64> {
        self.know(name)
            .then(|| self.state.tables[name].partition(key))?
    }

    /// Lets a write in. Returns what it is about to cost; `None` when there is no such table,
    /// which the emulator says best.
    fn admit(&mut self, name: &str, change: Change<'_>) -> Result<Option<Want>, Refusal> {
        if !self.know(name) {
            return Ok(None);
        }
        let want = self.state.tables[name].want(change);
        let nothing = Promised::nothing(&self.state.tables[name]);
        let reasons = self.obstacles(name, change, &want, &nothing);
        if reasons.is_empty() {
            Ok(Some(want))
        } else {
            Err(Refusal::Throttled(reasons))
        }
    }

    /// Returns what keeps a write to a known table out.
    fn obstacles(
        &mut self,
        name: &str,
        change: Change<'_>,
        want: &Want,
        promised: &Promised,
    ) -> Vec<Reason> {
        let mut reasons = Vec::new();
        let Some(table) = self.state.tables.get_mut(name) else {
            return reasons;
        };
        let lane = &mut table.lanes.write;
        let closed = lane.closed(want.key, promised.table, self.now);
        let forced = self.strike.throttle.then(|| lane.limit());
        if let Some(limit) = closed.or(forced) {
            reasons.push(Reason::new(table, None, Direction::Write, limit));
        }
        for entry in &want.entries {
            let lane = &mut table.indexes[entry.index].lanes.write;
            let promised = promised.indexes[entry.index];
            let Some(limit) = lane.closed(entry.key, promised, self.now) else {
                continue;
            };
            // Only now is the old item worth a look: a full index does not mind what it need
            // not write.
            if !reasons.is_empty() || touches(self.database, name, table, change, entry.index) {
                reasons.push(Reason::new(
                    table,
                    Some(entry.index),
                    Direction::Write,
                    limit,
                ));
            }
        }
        reasons
    }

    /// Lets a read in.
    fn admit_read(
        &mut self,
        name: &str,
        index: Option<&str>,
        key: Option<u64>,
    ) -> Result<(), Refusal> {
        if !self.know(name) {
            return Ok(());
        }
        let Some(table) = self.state.tables.get_mut(name) else {
            return Ok(());
        };
        // A local index reads from its table's capacity.
        let place = index.and_then(|index| table.indexes.iter().position(|i| i.name == index));
        let lane = match place {
            Some(place) => &mut table.indexes[place].lanes.read,
            None => &mut table.lanes.read,
        };
        let forced = self.strike.throttle.then(|| lane.limit());
        match lane.closed(key, 0.0, self.now).or(forced) {
            Some(limit) => {
                let reason = Reason::new(table, place, Direction::Read, limit);
                Err(Refusal::Throttled(vec![reason]))
            }
            None => Ok(()),
        }
    }

    /// Parts the writes of a batch to one table into those that go now and the rest, and adds up
    /// what those that go seem to cost.
    fn split(
        &mut self,
        name: &str,
        writes: Vec<WriteRequest>,
        reasons: &mut Vec<Reason>,
    ) -> (Vec<WriteRequest>, Vec<WriteRequest>, f64) {
        let mut promised = Promised::nothing(&self.state.tables[name]);
        let (admitted, rest) = writes.into_iter().partition(|write| {
            let Some(change) = change(write) else {
                return true;
            };
            let want = self.state.tables[name].want(change);
            let obstacles = self.obstacles(name, change, &want, &promised);
            if obstacles.is_empty() {
                promised.add(&want);
                if let Some(table) = self.state.tables.get_mut(name) {
                    table.charge_keys(&want, self.now);
                }
                return true;
            }
            remember(reasons, obstacles);
            false
        });
        (admitted, rest, promised.total())
    }

    /// Parts the keys of a batch in the same way, each of which costs `least` or more.
    fn split_keys(
        &mut self,
        name: &str,
        keys: Vec<Item>,
        least: f64,
        reasons: &mut Vec<Reason>,
    ) -> (Vec<Item>, Vec<Item>) {
        let Some(table) = self.state.tables.get_mut(name) else {
            return (keys, Vec::new());
        };
        let mut promised = 0.0;
        keys.into_iter().partition(|key| {
            let partition = table.partition(key);
            let lane = &mut table.lanes.read;
            let forced = self.strike.throttle.then(|| lane.limit());
            if let Some(limit) = lane.closed(partition, promised, self.now).or(forced) {
                let reason = Reason::new(table, None, Direction::Read, limit);
                remember(reasons, vec![reason]);
                return false;
            }
            promised += least;
            lane.charge_key(partition, least, self.now);
            true
        })
    }

    /// Tells of each part of a batch whether a fault sets it aside.
    fn aside(&mut self, parts: usize) -> Vec<bool> {
        match self.strike.partial_batch {
            Some(which) if parts > 1 => {
                self.state.faults.partial_batches += 1;
                set_aside(which, parts)
            }
            _ => vec![false; parts],
        }
    }

    /// Tells whether a batch can be taken apart: the emulator refuses a faulty one whole.
    fn is_sound(&mut self, request: &BatchWriteItemRequest) -> bool {
        let writes: usize = request.request_items.values().map(Vec::len).sum();
        (1..=25).contains(&writes)
            && request.request_items.iter().all(|(name, writes)| {
                self.know(name) && {
                    let table = &self.state.tables[name];
                    let items = || {
                        writes
                            .iter()
                            .filter_map(|write| Some(change(write)?.item()))
                    };
                    !writes.is_empty()
                        && items().count() == writes.len()
                        && items().all(|item| {
                            table.has_sound_keys(item)
                                && validate_item_attribute_values(item).is_ok()
                                && item_size(item) <= MAX_ITEM_SIZE
                        })
                        && distinct(table, items())
                }
            })
    }

    fn charge_write(&mut self, name: &str, want: Option<&Want>, used: Option<&ConsumedCapacity>) {
        let (Some(table), Some(used)) = (self.state.tables.get_mut(name), used) else {
            return;
        };
        table.charge(used, Direction::Write, self.now);
        if let Some(want) = want {
            table.charge_keys(want, self.now);
        }
    }

    fn charge_read(&mut self, name: &str, key: Option<u64>, used: Option<&ConsumedCapacity>) {
        let (Some(table), Some(used)) = (self.state.tables.get_mut(name), used) else {
            return;
        };
        table.charge(used, Direction::Read, self.now);
        table
            .lanes
            .read
            .charge_key(key, used.capacity_units, self.now);
    }

    fn charge_all(&mut self, used: &[ConsumedCapacity], direction: Direction) {
        for one in used {
            if let Some(table) = self.state.tables.get_mut(&one.table_name) {
                table.charge(one, direction, self.now);
            }
        }
    }

    /// Charges a write whose condition failed: it costs what the item that is there would.
    fn failed(&mut self, name: &str, item: Option<&Item>, error: DynoxideError) -> Refusal {
        if let (DynoxideError::ConditionalCheckFailedException(..), Some(item)) = (&error, item)
            && let Some(table) = self.state.tables.get_mut(name)
        {
            let old = stored(self.database, name, table.key_of(item));
            let units = write_capacity_units(old.as_ref().map_or(0, item_size));
            table.lanes.write.charge(units, self.now);
        }
        error.into()
    }
}

/// Tells whether a write changes the entry of one index.
fn touches(
    database: &Database,
    name: &str,
    table: &Table,
    change: Change<'_>,
    index: usize,
) -> bool {
    let new = match change {
        Change::Put(item) => Some(item),
        Change::Delete(_) => None,
        // What it makes of the item is not known: it is taken for a change.
        Change::Update(..) => return true,
        Change::Check(_) => return false,
    };
    let old = stored(database, name, table.key_of(change.item()));
    table.indexes[index].touched(old.as_ref(), new)
}

/// Looks an item up at no cost. `None` also when it cannot be read.
fn stored(database: &Database, name: &str, key: Item) -> Option<Item> {
    let request = GetItemRequest {
        table_name: name.to_owned(),
        key,
        ..GetItemRequest::default()
    };
    database.get_item(request).ok()?.item
}

fn change(write: &WriteRequest) -> Option<Change<'_>> {
    match (&write.put_request, &write.delete_request) {
        (Some(put), None) => Some(Change::Put(&put.item)),
        (None, Some(delete)) => Some(Change::Delete(&delete.key)),
        _ => None,
    }
}

/// One action of a transaction.
struct Action<'a> {
    table: &'a str,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Put(&'a Item),
    Delete(&'a Item),
    Update(&'a Item, BTreeSet<String>),
    Check(&'a Item),
}

impl<'a> Action<'a> {
    fn of(item: &'a TransactWriteItem) -> Option<Self> {
        let (table, kind) = if let Some(put) = &item.put {
            (&put.table_name, Kind::Put(&put.item))
        } else if let Some(update) = &item.update {
            let names = update.expression_attribute_names.as_ref();
            let changed = named(&update.update_expression, names);
            (&update.table_name, Kind::Update(&update.key, changed))
        } else if let Some(delete) = &item.delete {
            (&delete.table_name, Kind::Delete(&delete.key))
        } else {
            let check = item.condition_check.as_ref()?;
            (&check.table_name, Kind::Check(&check.key))
        };
        Some(Self { table, kind })
    }

    fn change(&self) -> Change<'_> {
        match &self.kind {
            Kind::Put(item) => Change::Put(item),
            Kind::Delete(key) => Change::Delete(key),
            Kind::Update(key, changed) => Change::Update(key, changed),
            Kind::Check(key) => Change::Check(key),
        }
    }
}

/// Returns the attributes that an update expression names. What is named without being changed
/// is among them, and so are the words of the language.
fn named(expression: &str, names: Option<&HashMap<String, String>>) -> BTreeSet<String> {
    expression
        .split(|c: char| !(c.is_alphanumeric() || "_#:".contains(c)))
        .filter(|word| !word.is_empty() && !word.starts_with(':'))
        .map(|word| {
            let alias = names.and_then(|names| names.get(word));
            alias.map_or(word, String::as_str).to_owned()
        })
        .collect()
}

/// Makes the error of a transaction of which some actions were throttled.
fn cancellation(actions: &[Option<Reason>]) -> DynoxideError {
    let reasons: Vec<CancellationReason> = actions
        .iter()
        .map(|reason| match reason {
            Some(reason) => {
                let (code, message) = reason.cancellation();
                CancellationReason {
                    code: code.to_owned(),
                    message: Some(message.to_owned()),
                    item: None,
                }
            }
            None => CancellationReason {
                code: "None".to_owned(),
                ..CancellationReason::default()
            },
        })
        .collect();
    let codes: Vec<&str> = reasons.iter().map(|reason| reason.code.as_str()).collect();
    let message = format!(
        "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
        codes.join(", ")
    );
    DynoxideError::TransactionCanceledException(message, reasons)
}

fn remember(reasons: &mut Vec<Reason>, more: Vec<Reason>) {
    for reason in more {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
}

/// Tells whether all items name different ones. They are few.
fn distinct<'a>(table: &Table, items: impl Iterator<Item = &'a Item> + Clone) -> bool {
    let mut rest = items.clone();
    items.into_iter().all(|item| {
        rest.next();
        !rest.clone().any(|other| table.same_key(item, other))
    })
}

/// Adds up capacity reports by table.
fn merge(all: &mut Vec<ConsumedCapacity>, more: Vec<ConsumedCapacity>) {
    for one in more {
        let Some(sum) = all.iter_mut().find(|sum| sum.table_name == one.table_name) else {
            all.push(one);
            continue;
        };
        sum.capacity_units += one.capacity_units;
        if let Some(table) = one.table {
            sum.table.get_or_insert_default().capacity_units += table.capacity_units;
        }
        add(
            &mut sum.global_secondary_indexes,
            one.global_secondary_indexes,
        );
        add(
            &mut sum.local_secondary_indexes,
            one.local_secondary_indexes,
        );
    }
}

fn add(
    sum: &mut Option<HashMap<String, CapacityDetail>>,
    more: Option<HashMap<String, CapacityDetail>>,
) {
    for (name, detail) in more.into_iter().flatten() {
        let sum = sum.get_or_insert_default().entry(name).or_default();
        sum.capacity_units += detail.capacity_units;
    }
}

/// Writes a request of a batch as it came.
fn again(write: &WriteRequest) -> serde_json::Value {
    match (&write.put_request, &write.delete_request) {
        (Some(put), _) => json!({ "PutRequest": { "Item": put.item } }),
        (None, Some(delete)) => json!({ "DeleteRequest": { "Key": delete.key } }),
        (None, None) => json!({}),
    }
}

fn with_keys(wanted: &KeysAndAttributes, keys: Vec<Item>) -> KeysAndAttributes {
    KeysAndAttributes {
        keys,
        projection_expression: wanted.projection_expression.clone(),
        expression_attribute_names: wanted.expression_attribute_names.clone(),
        consistent_read: wanted.consistent_read,
        attributes_to_get: wanted.attributes_to_get.clone(),
    }
}

/// Writes the rest of a batch of keys as it came.
fn keys_again(wanted: &KeysAndAttributes, keys: &[Item]) -> serde_json::Value {
    let mut again = json!({ "Keys": keys });
    if let Some(projection) = &wanted.projection_expression {
        again["ProjectionExpression"] = json!(projection);
    }
    if let Some(names) = &wanted.expression_attribute_names {
        again["ExpressionAttributeNames"] = json!(names);
    }
    if let Some(consistent) = wanted.consistent_read {
        again["ConsistentRead"] = json!(consistent);
    }
    if let Some(attributes) = &wanted.attributes_to_get {
        again["AttributesToGet"] = json!(attributes);
    }
    again
}

/// Reads a request. The emulator marks what it refuses while reading by the class of the error.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, DynoxideError> {
    serde_json::from_slice(body).map_err(|error| {
        let text = error.to_string();
        let text = text.rfind(" at line ").map_or(&*text, |end| &text[..end]);
        let after = |marks: &[&str]| marks.iter().find_map(|mark| text.strip_prefix(mark));
        if let Some(text) = after(&["VALIDATION:", "VALIDATION_REQUEST:", "VALIDATION_AS_READ:"]) {
            DynoxideError::ValidationException(text.to_owned())
        } else if let Some(text) = after(&["SERIALIZATION:", "SERIALIZATION_AS_READ:"]) {
            DynoxideError::SerializationException(text.to_owned())
        } else if [
            "missing field",
            "unknown variant",
            "invalid type: null",
            "AttributeValue",
        ]
        .iter()
        .any(|known| text.contains(known))
        {
            DynoxideError::ValidationException(text.to_owned())
        } else {
            DynoxideError::SerializationException(text.to_owned())
        }
    })
}

fn write<T: Serialize>(response: &T) -> Result<Vec<u8>, Refusal> {
    let written = serde_json::to_vec(response);
    written.map_err(|error| DynoxideError::InternalServerError(error.to_string()).into())
}
