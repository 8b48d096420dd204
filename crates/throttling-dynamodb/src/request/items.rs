//! Reads and writes of single items, queries and scans.

use dynoxide::actions::delete_item::DeleteItemRequest;
use dynoxide::actions::get_item::GetItemRequest;
use dynoxide::actions::put_item::PutItemRequest;
use dynoxide::actions::query::QueryRequest;
use dynoxide::actions::scan::ScanRequest;
use dynoxide::actions::update_item::UpdateItemRequest;
use dynoxide::types::{item_size, write_capacity_units};
use dynoxide::{DynoxideError, Item};

use super::Request;
use super::admission::stored;
use crate::expression::{attribute_names, equality_placeholder};
use crate::table::hash_of_value;
use crate::wire::{CapacityReport, RequestError, write};
use crate::write_cost::ItemWrite;

impl Request<'_> {
    pub(super) fn put_item(
        &mut self,
        mut request: PutItemRequest,
    ) -> Result<Vec<u8>, RequestError> {
        let report = CapacityReport::replace(&mut request.return_consumed_capacity);
        let name = request.table_name.clone();
        let cost = self.admit(&name, ItemWrite::Put(&request.item))?;
        let conditional = request.condition_expression.is_some() || request.expected.is_some();
        let item = conditional.then(|| request.item.clone());
        let mut response = match self.database.put_item(request) {
            Ok(response) => response,
            Err(error) => return Err(self.charge_failed_condition(&name, item.as_ref(), error)),
        };
        self.charge_write(&name, cost.as_ref(), response.consumed_capacity.as_ref());
        response.consumed_capacity = report.trim(response.consumed_capacity);
        write(&response)
    }

    pub(super) fn update_item(
        &mut self,
        mut request: UpdateItemRequest,
    ) -> Result<Vec<u8>, RequestError> {
        let report = CapacityReport::replace(&mut request.return_consumed_capacity);
        let name = request.table_name.clone();
        let mut changed = attribute_names(
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
        let cost = self.admit(&name, ItemWrite::Update(&request.key, &changed))?;
        let key = request.key.clone();
        let mut response = match self.database.update_item(request) {
            Ok(response) => response,
            Err(error) => return Err(self.charge_failed_condition(&name, Some(&key), error)),
        };
        self.charge_write(&name, cost.as_ref(), response.consumed_capacity.as_ref());
        response.consumed_capacity = report.trim(response.consumed_capacity);
        write(&response)
    }

    pub(super) fn delete_item(
        &mut self,
        mut request: DeleteItemRequest,
    ) -> Result<Vec<u8>, RequestError> {
        let report = CapacityReport::replace(&mut request.return_consumed_capacity);
        let name = request.table_name.clone();
        let cost = self.admit(&name, ItemWrite::Delete(&request.key))?;
        let key = request.key.clone();
        let mut response = match self.database.delete_item(request) {
            Ok(response) => response,
            Err(error) => return Err(self.charge_failed_condition(&name, Some(&key), error)),
        };
        self.charge_write(&name, cost.as_ref(), response.consumed_capacity.as_ref());
        response.consumed_capacity = report.trim(response.consumed_capacity);
        write(&response)
    }

    pub(super) fn get_item(
        &mut self,
        mut request: GetItemRequest,
    ) -> Result<Vec<u8>, RequestError> {
        let report = CapacityReport::replace(&mut request.return_consumed_capacity);
        let name = request.table_name.clone();
        let key = self.partition(&name, &request.key);
        self.admit_read(&name, None, key)?;
        let mut response = self.database.get_item(request)?;
        self.charge_read(&name, None, key, response.consumed_capacity.as_ref());
        response.consumed_capacity = report.trim(response.consumed_capacity);
        write(&response)
    }

    pub(super) fn query(&mut self, mut request: QueryRequest) -> Result<Vec<u8>, RequestError> {
        let report = CapacityReport::replace(&mut request.return_consumed_capacity);
        let name = request.table_name.clone();
        let index = self.global_index(&name, request.index_name.as_deref());
        let key = self.queried_partition(&name, index, &request);
        self.admit_read(&name, index, key)?;
        let mut response = self.database.query(request)?;
        self.charge_read(&name, index, key, response.consumed_capacity.as_ref());
        response.consumed_capacity = report.trim(response.consumed_capacity);
        write(&response)
    }

    pub(super) fn scan(&mut self, mut request: ScanRequest) -> Result<Vec<u8>, RequestError> {
        let report = CapacityReport::replace(&mut request.return_consumed_capacity);
        let name = request.table_name.clone();
        let index = self.global_index(&name, request.index_name.as_deref());
        self.admit_read(&name, index, None)?;
        let mut response = self.database.scan(request)?;
        self.charge_read(&name, index, None, response.consumed_capacity.as_ref());
        response.consumed_capacity = report.trim(response.consumed_capacity);
        write(&response)
    }

    /// Finds a global index in `Table::indexes`. `None` also for a local index, whose reads are
    /// charged to the table.
    fn global_index(&mut self, name: &str, index: Option<&str>) -> Option<usize> {
        self.load_table(name);
        let indexes = &self.state.tables.get(name)?.indexes;
        indexes
            .iter()
            .position(|one| Some(one.name.as_str()) == index)
    }

    /// Returns the hash of the partition key that a query reads. `None`: not known beforehand.
    fn queried_partition(
        &self,
        name: &str,
        index: Option<usize>,
        request: &QueryRequest,
    ) -> Option<u64> {
        let attribute = self.state.tables.get(name)?.partition_key(index)?;
        let condition = request.key_condition_expression.as_deref()?;
        let names = request.expression_attribute_names.as_ref();
        let placeholder = equality_placeholder(condition, attribute, names)?;
        let values = request.expression_attribute_values.as_ref()?;
        hash_of_value(values.get(placeholder)?)
    }

    /// Charges a write whose condition has failed: it costs the units of the existing item.
    fn charge_failed_condition(
        &mut self,
        name: &str,
        item: Option<&Item>,
        error: DynoxideError,
    ) -> RequestError {
        if let (DynoxideError::ConditionalCheckFailedException(..), Some(item)) = (&error, item)
            && let Some(table) = self.state.tables.get_mut(name)
        {
            let old = stored(self.database, name, table.key_of(item));
            let units = write_capacity_units(old.as_ref().map_or(0, item_size));
            table.limiters.write.charge(units, self.now);
        }
        error.into()
    }
}
