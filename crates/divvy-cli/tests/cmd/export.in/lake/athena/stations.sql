CREATE EXTERNAL TABLE IF NOT EXISTS `divvy`.`stations` (
  `station_id` string COMMENT 'id of the feed, or of the trips where no feed has the station',
  `name` string COMMENT 'name of the feed, else the latest in the trips',
  `latitude` double COMMENT 'as published, else the mean of the trip ends there',
  `longitude` double COMMENT 'as published, else the mean of the trip ends there',
  `status` string COMMENT 'what the newest snapshot says, not in feed where it lacks the station, NULL without a feed',
  `available_bikes` int COMMENT 'vehicles that can be rented, e-bikes included',
  `available_ebikes` int COMMENT 'e-bikes among them',
  `available_docks` int COMMENT 'docks that accept a vehicle',
  `total_docks` int COMMENT 'docks installed',
  `reported_at` timestamp COMMENT 'when the station last reported, UTC',
  `from_count` bigint COMMENT 'stored trips that start here',
  `to_count` bigint COMMENT 'stored trips that end here',
  `place_id` string COMMENT 'unlike station_id, no two rows of a system share it',
  `trip_station_ids` array<string> COMMENT 'ids that trips use for it, some of which publishers have given to other stations, too'
)
COMMENT 'Stations as the report of that name has them, with the ids that trips use for each'
PARTITIONED BY (
  `system` string COMMENT 'the id of the system'
)
STORED AS PARQUET
LOCATION 's3://my-bucket/divvy/stations/'
TBLPROPERTIES (
  'classification' = 'parquet',
  'projection.enabled' = 'true',
  'projection.system.type' = 'enum',
  'projection.system.values' = 'divvy',
  'storage.location.template' = 's3://my-bucket/divvy/stations/system=${system}'
)
