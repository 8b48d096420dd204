//! The prices of AWS: one dated table, of which a file may replace any price.

use serde::{Deserialize, Serialize};

/// Hours of a month in the examples of AWS.
pub const HOURS_A_MONTH: f64 = 730.0;
const GB: f64 = (1_u64 << 30) as f64;

/// Prices in US dollars, without tax.
///
/// [`Prices::default`] is for us-east-1 (Ohio and Oregon have the same prices, most other regions
/// higher ones) at the date in it. The price pages could not be read at that time: each field
/// states the source of its figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prices {
    /// The date of the prices.
    pub as_of: String,
    /// Their region.
    pub region: String,
    /// A million write request units, on demand. 0.625: a price page copied in July 2025, after
    /// AWS halved it on 2024-11-01.
    pub write_requests_million: f64,
    /// A million read request units, on demand. 0.125: as above.
    pub read_requests_million: f64,
    /// A write unit a second, for an hour. 0.00065: as above.
    pub wcu_hour: f64,
    /// A read unit a second, for an hour. 0.00013: as above.
    pub rcu_hour: f64,
    /// A gigabyte stored for a month. 0.25: an undated page of AWS.
    pub storage_gb_month: f64,
    /// Gigabytes stored free of charge, over all tables of a region. 25: the free tier's page.
    pub free_storage_gb: f64,
    /// Provisioned write units free of charge, over all tables and indexes of a region. 25.
    pub free_wcu: u32,
    /// Provisioned read units free of charge. 25.
    pub free_rcu: u32,
    /// A gigabyte imported from S3, by unpacked bytes. 0.15: common knowledge, not confirmed.
    pub import_gb: f64,
    /// A million requests to Lambda. 0.20: common knowledge, as are the next three.
    pub lambda_requests_million: f64,
    /// A gigabyte of memory for a second of Lambda (x86). 0.0000166667.
    pub lambda_gb_second: f64,
    /// Requests to Lambda free of charge a month. A million.
    pub free_lambda_requests: f64,
    /// Gigabyte-seconds of Lambda free of charge a month. 400,000.
    pub free_lambda_gb_seconds: f64,
}

impl Default for Prices {
    fn default() -> Self {
        Self {
            as_of: "2026-11-23".into(),
            region: "us-east-1".into(),
            write_requests_million: 0.625,
            read_requests_million: 0.125,
            wcu_hour: 0.000_65,
            rcu_hour: 0.000_13,
            storage_gb_month: 0.25,
            free_storage_gb: 25.0,
            free_wcu: 25,
            free_rcu: 25,
            import_gb: 0.15,
            lambda_requests_million: 0.20,
            lambda_gb_second: 0.000_016_666_7,
            free_lambda_requests: 1e6,
            free_lambda_gb_seconds: 400_000.0,
        }
    }
}

/// A file of prices that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the file of prices is not a JSON object such as {{\"wcu_hour\":0.00065}}: {0}")]
pub struct InvalidPrices(#[from] serde_json::Error);

impl Prices {
    /// Reads prices from JSON. Missing ones are those of [`Prices::default`].
    ///
    /// # Errors
    ///
    /// [`InvalidPrices`], also for an unknown field.
    pub fn from_json(json: &[u8]) -> Result<Self, InvalidPrices> {
        Ok(serde_json::from_slice(json)?)
    }

    /// Returns the price of requests on demand.
    pub fn requests_usd(&self, write_units: f64, read_units: f64) -> f64 {
        (write_units * self.write_requests_million + read_units * self.read_requests_million) / 1e6
    }

    /// Returns the price of provisioned capacity for some hours.
    pub fn capacity_usd(&self, write_units: u32, read_units: u32, hours: f64) -> f64 {
        (f64::from(write_units) * self.wcu_hour + f64::from(read_units) * self.rcu_hour) * hours
    }

    /// Returns the price of raising warm throughput by some write units a second, which is paid once.
    ///
    /// It is that of as many provisioned units, for one hour: "Warm throughput" on
    /// <https://aws.amazon.com/dynamodb/pricing/on-demand/>; common knowledge, the page could not be read.
    pub fn warm_usd(&self, write_units: u32) -> f64 {
        f64::from(write_units) * self.wcu_hour
    }

    /// Returns the price of storing bytes for a month, where nothing else is stored.
    pub fn storage_usd_month(&self, bytes: u64) -> f64 {
        (bytes as f64 / GB - self.free_storage_gb).max(0.0) * self.storage_gb_month
    }

    /// Returns the price of importing unpacked bytes.
    pub fn import_usd(&self, bytes: u64) -> f64 {
        bytes as f64 / GB * self.import_gb
    }

    /// Returns the price of a month of Lambda, where nothing else runs there.
    pub fn lambda_usd_month(&self, requests: f64, gb_seconds: f64) -> f64 {
        (requests - self.free_lambda_requests).max(0.0) * self.lambda_requests_million / 1e6
            + (gb_seconds - self.free_lambda_gb_seconds).max(0.0) * self.lambda_gb_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_replaces_the_prices_that_it_names() {
        let prices = Prices::from_json(br#"{"wcu_hour":0.00074,"region":"eu-west-1"}"#).unwrap();
        assert_eq!((prices.wcu_hour, prices.rcu_hour), (0.000_74, 0.000_13));
        let wrong = Prices::from_json(br#"{"wcu_minute":1}"#).unwrap_err();
        assert!(
            wrong.to_string().contains("unknown field `wcu_minute`"),
            "{wrong}"
        );
    }

    #[test]
    fn what_is_free_is_free() {
        let prices = Prices::default();
        assert_eq!(prices.storage_usd_month(25 << 30), 0.0);
        assert_eq!(prices.storage_usd_month(27 << 30), 0.5);
        assert_eq!(prices.lambda_usd_month(9e5, 1e5), 0.0);
        // The original program's table and index, for a month without the free tier.
        let month = prices.capacity_usd(10, 10, HOURS_A_MONTH);
        assert!((month - 5.694).abs() < 1e-9, "{month}");
    }
}
