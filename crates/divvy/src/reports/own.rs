//! Reports that users define: dimensions, measures and filters under a name.

use async_trait::async_trait;

use super::groupings::{self, Order};
use super::{Column, Dim, Filter, Filters, Measure, Picture, Question, Report, Table};
use crate::store::StoreError;

/// Numbers of trips by group, as defined by a user.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnReport {
    /// Its name.
    pub name: String,
    /// A description of one line.
    pub title: String,
    /// The dimensions by which trips are grouped: one to three.
    pub dimensions: Vec<Dim>,
    /// The measures of each group.
    pub measures: Vec<Measure>,
    /// Which trips are counted. Filters that are given with the question take precedence.
    pub filters: Filters,
}

impl OwnReport {
    /// Lists the measures, each with the name of its column.
    fn named_measures(&self) -> Vec<(Measure, &'static str)> {
        let measures = self.measures.iter();
        measures
            .map(|measure| (*measure, measure.as_str()))
            .collect()
    }

    /// Returns its own filters, replaced by those that are given.
    pub fn filters(&self, asked: &Filters) -> Filters {
        let own = self.filters.clone();
        let dated = asked.from.is_some() || asked.to.is_some();
        Filters {
            from: if dated { asked.from } else { own.from },
            to: if dated { asked.to } else { own.to },
            rider: asked.rider.clone().or(own.rider),
            bike: asked.bike.clone().or(own.bike),
            station: asked.station.clone().or(own.station),
            weekdays: asked.weekdays.or(own.weekdays),
            hours: asked.hours.or(own.hours),
            by: asked.by.clone(),
            sort: asked.sort.clone().or(own.sort),
            top: asked.top.or(own.top),
            as_of: asked.as_of,
            max_unusable: asked.max_unusable,
            areas: asked.areas.clone(),
            horizons: asked.horizons.clone(),
            arrive: asked.arrive,
            need: asked.need,
        }
    }
}

#[async_trait]
impl Report for OwnReport {
    fn name(&self) -> &str {
        &self.name
    }

    fn about(&self) -> &str {
        &self.title
    }

    fn takes(&self) -> &'static [Filter] {
        &Filter::OF_TRIPS
    }

    fn groups_by(&self) -> &'static [Dim] {
        &Dim::ALL
    }

    fn columns(&self) -> Vec<Column> {
        groupings::columns(&self.dimensions, &self.named_measures())
    }

    fn is_long(&self) -> bool {
        self.dimensions.iter().copied().any(Dim::has_many_groups)
    }

    fn picture(&self) -> Option<Picture> {
        let (across, up) = (*self.dimensions.first()?, *self.measures.first()?);
        Some(if self.dimensions.contains(&Dim::Date) {
            Picture::Line { across, up }
        } else {
            Picture::Bars { across, up }
        })
    }

    async fn answer(&self, question: &Question<'_>) -> Result<Table, StoreError> {
        let by = &question.filters.by;
        let dims = if by.is_empty() { &self.dimensions } else { by };
        groupings::answer(question, dims, &self.named_measures(), Order::Natural).await
    }
}
