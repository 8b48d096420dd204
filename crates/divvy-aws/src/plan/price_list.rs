//! Prices from the public Price List of AWS.
//!
//! The offer file of DynamoDB in a region is at
//! `https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/AmazonDynamoDB/current/REGION/index.json`,
//! without an account. Its form:
//! <https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/reading-an-offer.html>.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Prices;

/// An offer file that does not have the prices.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPriceList {
    /// It is not JSON of that form.
    #[error(
        "the file is no offer file of AWS's Price List (expected {{\"offerCode\":\"AmazonDynamoDB\", \
         \"products\":…, \"terms\":…}}): {0}"
    )]
    NoOffer(#[from] serde_json::Error),
    /// It is of another service.
    #[error("the offer file is of {0}: expected that of AmazonDynamoDB")]
    OtherService(String),
    /// It has several regions, and none was named; or it lacks the one that was.
    #[error("the offer file has the regions {}: {expected}", found.join(", "))]
    Region {
        /// The regions in the file.
        found: Vec<String>,
        /// What would be accepted.
        expected: String,
    },
    /// Prices are missing.
    #[error("the offer file has no price of {} in {region}", missing.join(", "))]
    Missing {
        /// What has no price, as the list calls it.
        missing: Vec<&'static str>,
        /// The region.
        region: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Offer {
    offer_code: String,
    #[serde(default)]
    publication_date: String,
    products: BTreeMap<String, Product>,
    terms: Terms,
}

#[derive(Deserialize)]
struct Product {
    attributes: Attributes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attributes {
    #[serde(default)]
    region_code: String,
    #[serde(default)]
    usagetype: String,
}

#[derive(Deserialize)]
struct Terms {
    #[serde(rename = "OnDemand", default)]
    on_demand: BTreeMap<String, BTreeMap<String, Term>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Term {
    price_dimensions: BTreeMap<String, Dimension>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dimension {
    #[serde(default)]
    begin_range: String,
    price_per_unit: BTreeMap<String, String>,
}

/// A price: the type of usage in us-east-1, and where it belongs, with the number of units of ours that
/// a unit of the list has.
type Wanted = (&'static str, fn(&mut Prices) -> &mut f64, f64);

/// The prices that are taken. Other regions have a code before the type of usage (`EUC1-`); the table
/// class for infrequent access has `IA-`, and is not used here.
const WANTED: [Wanted; 6] = [
    (
        "WriteRequestUnits",
        |prices| &mut prices.write_requests_million,
        1e6,
    ),
    (
        "ReadRequestUnits",
        |prices| &mut prices.read_requests_million,
        1e6,
    ),
    ("WriteCapacityUnit-Hrs", |prices| &mut prices.wcu_hour, 1.0),
    ("ReadCapacityUnit-Hrs", |prices| &mut prices.rcu_hour, 1.0),
    (
        "TimedStorage-ByteHrs",
        |prices| &mut prices.storage_gb_month,
        1.0,
    ),
    ("ImportDataSize-Bytes", |prices| &mut prices.import_gb, 1.0),
];

impl Prices {
    /// Reads the prices of DynamoDB from an offer file of the Price List; those of Lambda stay the
    /// default ones, and so does the price of an import where the file has none. `region` chooses
    /// where the file has several.
    ///
    /// # Errors
    ///
    /// [`InvalidPriceList`].
    pub fn from_price_list(json: &[u8], region: Option<&str>) -> Result<Self, InvalidPriceList> {
        let offer: Offer = serde_json::from_slice(json)?;
        if offer.offer_code != "AmazonDynamoDB" {
            return Err(InvalidPriceList::OtherService(offer.offer_code));
        }
        let region = offer.region(region)?;
        let date = offer.publication_date.split('T').next();
        let mut prices = Self {
            region: region.clone(),
            as_of: date.unwrap_or_default().to_owned(),
            ..Self::default()
        };
        let mut missing = Vec::new();
        for (usage, field, units) in WANTED {
            match offer.price(&region, usage) {
                Some(usd) => *field(&mut prices) = usd * units,
                None if usage == "ImportDataSize-Bytes" => {}
                None => missing.push(usage),
            }
        }
        if missing.is_empty() {
            Ok(prices)
        } else {
            Err(InvalidPriceList::Missing { missing, region })
        }
    }
}

impl Offer {
    /// Returns the only region of the file, or the named one.
    fn region(&self, named: Option<&str>) -> Result<String, InvalidPriceList> {
        let regions = self
            .products
            .values()
            .map(|product| &product.attributes.region_code);
        let mut found: Vec<String> = regions.filter(|code| !code.is_empty()).cloned().collect();
        found.sort();
        found.dedup();
        match (named, &found[..]) {
            (None, [only]) => Ok(only.clone()),
            (Some(named), _) if found.iter().any(|code| code == named) => Ok(named.into()),
            (named, _) => Err(InvalidPriceList::Region {
                expected: match named {
                    Some(named) => format!("expected {named}"),
                    None => "name one in --store".into(),
                },
                found,
            }),
        }
    }

    /// Returns the first price of a usage that is not free: what lies below it is of the free tier.
    fn price(&self, region: &str, usage: &str) -> Option<f64> {
        let is_of_usage = |product: &Product| {
            let Attributes {
                region_code,
                usagetype,
            } = &product.attributes;
            let before = usagetype.strip_suffix(usage);
            let is_code = |before: &str| match before.strip_suffix('-') {
                None => before.is_empty(),
                Some(code) => code != "IA" && !code.contains('-'),
            };
            region_code == region && before.is_some_and(is_code)
        };
        let products = self
            .products
            .iter()
            .filter(|(_, product)| is_of_usage(product));
        let terms = products.filter_map(|(sku, _)| self.terms.on_demand.get(sku));
        let dimensions = terms.flat_map(BTreeMap::values);
        let dimensions = dimensions.flat_map(|term| term.price_dimensions.values());
        let prices = dimensions.filter_map(|dimension| {
            let usd: f64 = dimension.price_per_unit.get("USD")?.parse().ok()?;
            let from: f64 = dimension.begin_range.parse().unwrap_or(0.0);
            (usd > 0.0).then_some((from, usd))
        });
        let first = prices.min_by(|a, b| a.0.total_cmp(&b.0));
        first.map(|(_, usd)| usd)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// An offer file with one price for each usage, and tiers for the units of capacity.
    fn offer(prefix: &str, region: &str) -> Value {
        let usages = [
            ("WriteRequestUnits", vec![("0", "0.0000007625")]),
            ("ReadRequestUnits", vec![("0", "0.0000001525")]),
            (
                "WriteCapacityUnit-Hrs",
                vec![("0", "0.0000000000"), ("18600", "0.0007930000")],
            ),
            (
                "ReadCapacityUnit-Hrs",
                vec![("0", "0.0000000000"), ("18600", "0.0001586000")],
            ),
            ("IA-WriteCapacityUnit-Hrs", vec![("0", "0.0009900000")]),
            (
                "TimedStorage-ByteHrs",
                vec![("0", "0.0000000000"), ("25", "0.3060000000")],
            ),
            ("ReplWriteCapacityUnit-Hrs", vec![("0", "0.0011895000")]),
        ];
        let mut products = json!({});
        let mut terms = json!({});
        for (n, (usage, tiers)) in usages.into_iter().enumerate() {
            let sku = format!("SKU{n}");
            products[&sku] = json!({"sku": sku, "productFamily": "any", "attributes": {
                "servicecode": "AmazonDynamoDB", "regionCode": region, "usagetype": format!("{prefix}{usage}"),
            }});
            let dimensions: serde_json::Map<String, Value> = (tiers.into_iter())
                .map(|(from, usd)| {
                    let dimension = json!({"beginRange": from, "endRange": "Inf", "pricePerUnit": {"USD": usd}});
                    (format!("{sku}.T.{from}"), dimension)
                })
                .collect();
            terms[&sku] = json!({format!("{sku}.T"): {"priceDimensions": dimensions}});
        }
        json!({
            "formatVersion": "v1.0", "offerCode": "AmazonDynamoDB",
            "publicationDate": "2026-11-02T18:11:00Z",
            "products": products, "terms": {"OnDemand": terms},
        })
    }

    fn read(offer: &Value, region: Option<&str>) -> Result<Prices, String> {
        let read = Prices::from_price_list(offer.to_string().as_bytes(), region);
        read.map_err(|error| error.to_string())
    }

    #[test]
    fn prices_are_those_of_the_region_beyond_the_free_tier() {
        for (prefix, region) in [("EUC1-", "eu-central-1"), ("", "us-east-1")] {
            let prices = read(&offer(prefix, region), None).unwrap();
            let expected = Prices {
                as_of: "2026-11-02".into(),
                region: region.into(),
                write_requests_million: 0.000_000_762_5 * 1e6,
                read_requests_million: 0.000_000_152_5 * 1e6,
                wcu_hour: 0.000_793,
                rcu_hour: 0.000_158_6,
                storage_gb_month: 0.306,
                ..Prices::default()
            };
            assert_eq!(prices, expected);
        }
    }

    #[test]
    fn other_files_are_refused() {
        let mut two = offer("EUC1-", "eu-central-1");
        two["products"]["SKU0"]["attributes"]["regionCode"] = "eu-west-1".into();
        let other = json!({"offerCode": "AmazonEC2", "products": {}, "terms": {}});
        let errors = [
            read(&two, None),
            read(&two, Some("us-east-1")),
            read(&two, Some("eu-central-1")),
            read(&other, None),
            read(&json!({"wcu_hour": 0.000_74}), None),
        ];
        let errors = errors.map(|read| read.unwrap_err()).join("\n");
        insta::assert_snapshot!(errors);
    }
}
