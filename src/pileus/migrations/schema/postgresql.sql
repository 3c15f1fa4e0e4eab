CREATE TABLE signals (
	name VARCHAR(32) NOT NULL,
	number BIGINT NOT NULL,
	CONSTRAINT pk_signals PRIMARY KEY (name)
);

CREATE TABLE idempotent_answers (
	key VARCHAR(255) NOT NULL,
	caller VARCHAR(64) NOT NULL,
	request VARCHAR(1024) NOT NULL,
	status INTEGER NOT NULL,
	body BYTEA NOT NULL,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_idempotent_answers PRIMARY KEY (key, caller)
);

CREATE INDEX ix_idempotent_answers_created_at ON idempotent_answers (created_at);

CREATE TABLE quota_limits (
	service VARCHAR(32) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	name VARCHAR(64) NOT NULL,
	"limit" INTEGER NOT NULL,
	CONSTRAINT pk_quota_limits PRIMARY KEY (service, project_id, name)
);

CREATE TABLE events (
	seq BIGSERIAL NOT NULL,
	tx_id BIGINT NOT NULL,
	project_id VARCHAR(64),
	type VARCHAR(128) NOT NULL,
	resource_id VARCHAR(64) NOT NULL,
	request_id VARCHAR(64),
	at BIGINT NOT NULL,
	payload TEXT,
	CONSTRAINT pk_events PRIMARY KEY (seq)
);

CREATE INDEX ix_events_at ON events (at);

CREATE INDEX ix_events_project_id_tx_id_seq ON events (project_id, tx_id, seq);

CREATE INDEX ix_events_tx_id_seq ON events (tx_id, seq);

CREATE TABLE strands (
	id VARCHAR(64) NOT NULL,
	program VARCHAR(64) NOT NULL,
	label VARCHAR(64) NOT NULL,
	due_at BIGINT,
	lease_owner VARCHAR(128),
	epoch BIGINT NOT NULL,
	wake BIGINT NOT NULL,
	deadline_at BIGINT,
	tries INTEGER NOT NULL,
	last_error TEXT,
	doomed BOOLEAN NOT NULL,
	created_at BIGINT NOT NULL,
	request_id VARCHAR(64),
	CONSTRAINT pk_strands PRIMARY KEY (id)
);

CREATE INDEX ix_strands_due_at ON strands (due_at);

CREATE TABLE identity_projects (
	id VARCHAR(64) NOT NULL,
	name VARCHAR(255) NOT NULL,
	domain_id VARCHAR(64) NOT NULL,
	parent_id VARCHAR(64),
	description TEXT NOT NULL,
	enabled BOOLEAN NOT NULL,
	is_domain BOOLEAN NOT NULL,
	tags TEXT NOT NULL,
	options TEXT NOT NULL,
	extra TEXT NOT NULL,
	CONSTRAINT pk_identity_projects PRIMARY KEY (id),
	CONSTRAINT uq_identity_projects_domain_id_name UNIQUE (domain_id, name),
	CONSTRAINT fk_identity_projects_parent_id FOREIGN KEY(parent_id) REFERENCES identity_projects (id)
);

CREATE INDEX ix_identity_projects_parent_id ON identity_projects (parent_id);

CREATE TABLE identity_roles (
	id VARCHAR(64) NOT NULL,
	name VARCHAR(255) NOT NULL,
	domain_key VARCHAR(64) NOT NULL,
	description TEXT,
	options TEXT NOT NULL,
	extra TEXT NOT NULL,
	CONSTRAINT pk_identity_roles PRIMARY KEY (id),
	CONSTRAINT uq_identity_roles_domain_key_name UNIQUE (domain_key, name)
);

CREATE TABLE identity_regions (
	id VARCHAR(255) NOT NULL,
	description TEXT NOT NULL,
	parent_region_id VARCHAR(255),
	extra TEXT NOT NULL,
	CONSTRAINT pk_identity_regions PRIMARY KEY (id),
	CONSTRAINT fk_identity_regions_parent_region_id FOREIGN KEY(parent_region_id) REFERENCES identity_regions (id)
);

CREATE TABLE identity_services (
	id VARCHAR(64) NOT NULL,
	type VARCHAR(255) NOT NULL,
	name VARCHAR(255),
	description TEXT,
	enabled BOOLEAN NOT NULL,
	extra TEXT NOT NULL,
	CONSTRAINT pk_identity_services PRIMARY KEY (id)
);

CREATE TABLE identity_revocations (
	seq SERIAL NOT NULL,
	user_id VARCHAR(64),
	project_id VARCHAR(64),
	domain_id VARCHAR(64),
	role_id VARCHAR(64),
	audit_id VARCHAR(32),
	audit_chain_id VARCHAR(32),
	issued_before BIGINT NOT NULL,
	revoked_at BIGINT NOT NULL,
	CONSTRAINT pk_identity_revocations PRIMARY KEY (seq)
);

CREATE TABLE identity_mappings (
	id VARCHAR(64) NOT NULL,
	rules TEXT NOT NULL,
	schema_version VARCHAR(5) NOT NULL,
	CONSTRAINT pk_identity_mappings PRIMARY KEY (id)
);

CREATE TABLE identity_service_providers (
	id VARCHAR(64) NOT NULL,
	enabled BOOLEAN NOT NULL,
	description TEXT,
	auth_url VARCHAR(256) NOT NULL,
	sp_url VARCHAR(256) NOT NULL,
	relay_state_prefix VARCHAR(256) NOT NULL,
	CONSTRAINT pk_identity_service_providers PRIMARY KEY (id)
);

CREATE TABLE identity_used_assertions (
	id VARCHAR(64) NOT NULL,
	expires_at BIGINT NOT NULL,
	CONSTRAINT pk_identity_used_assertions PRIMARY KEY (id)
);

CREATE INDEX ix_identity_used_assertions_expires_at ON identity_used_assertions (expires_at);

CREATE TABLE identity_endpoint_groups (
	id VARCHAR(64) NOT NULL,
	name VARCHAR(255) NOT NULL,
	description TEXT,
	filters TEXT NOT NULL,
	CONSTRAINT pk_identity_endpoint_groups PRIMARY KEY (id)
);

CREATE TABLE identity_policies (
	id VARCHAR(64) NOT NULL,
	type VARCHAR(255) NOT NULL,
	blob TEXT NOT NULL,
	extra TEXT NOT NULL,
	CONSTRAINT pk_identity_policies PRIMARY KEY (id)
);

CREATE TABLE identity_credentials (
	id VARCHAR(64) NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	project_id VARCHAR(64),
	type VARCHAR(255) NOT NULL,
	encrypted_blob TEXT NOT NULL,
	extra TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_identity_credentials PRIMARY KEY (id)
);

CREATE INDEX ix_identity_credentials_project_id ON identity_credentials (project_id);

CREATE INDEX ix_identity_credentials_user_id ON identity_credentials (user_id);

CREATE TABLE identity_oauth_consumers (
	id VARCHAR(64) NOT NULL,
	description TEXT,
	encrypted_secret TEXT NOT NULL,
	extra TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_identity_oauth_consumers PRIMARY KEY (id)
);

CREATE TABLE identity_seen_proofs (
	issuer VARCHAR(64) NOT NULL,
	holder VARCHAR(64) NOT NULL,
	moment INTEGER NOT NULL,
	nonce VARCHAR(255) NOT NULL,
	seen_at BIGINT NOT NULL,
	CONSTRAINT pk_identity_seen_proofs PRIMARY KEY (issuer, holder, moment, nonce)
);

CREATE INDEX ix_identity_seen_proofs_seen_at ON identity_seen_proofs (seen_at);

CREATE TABLE image_images (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(255),
	name VARCHAR(255),
	status VARCHAR(16) NOT NULL,
	visibility VARCHAR(16) NOT NULL,
	protected BOOLEAN NOT NULL,
	hidden BOOLEAN NOT NULL,
	disk_format VARCHAR(20),
	container_format VARCHAR(20),
	min_disk_gib INTEGER NOT NULL,
	min_ram_mib INTEGER NOT NULL,
	size_bytes BIGINT,
	virtual_size_bytes BIGINT,
	checksum VARCHAR(32),
	os_hash_algo VARCHAR(16),
	os_hash_value VARCHAR(128),
	tags TEXT NOT NULL,
	properties TEXT NOT NULL,
	locations TEXT NOT NULL,
	copies INTEGER NOT NULL,
	staged_bytes BIGINT NOT NULL,
	upload_id VARCHAR(36),
	upload_until BIGINT,
	task_id VARCHAR(36),
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	CONSTRAINT pk_image_images PRIMARY KEY (id)
);

CREATE INDEX ix_image_images_created_at_id ON image_images (created_at, id);

CREATE INDEX ix_image_images_name ON image_images (name);

CREATE INDEX ix_image_images_project_id_created_at_id ON image_images (project_id, created_at, id);

CREATE INDEX ix_image_images_visibility_created_at_id ON image_images (visibility, created_at, id);

CREATE TABLE image_tasks (
	id VARCHAR(36) NOT NULL,
	type VARCHAR(32) NOT NULL,
	status VARCHAR(16) NOT NULL,
	image_id VARCHAR(36),
	project_id VARCHAR(255),
	user_id VARCHAR(255),
	request_id VARCHAR(64),
	input TEXT NOT NULL,
	result TEXT,
	message TEXT NOT NULL,
	progress TEXT NOT NULL,
	expires_at BIGINT,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	CONSTRAINT pk_image_tasks PRIMARY KEY (id)
);

CREATE INDEX ix_image_tasks_created_at_id ON image_tasks (created_at, id);

CREATE INDEX ix_image_tasks_image_id ON image_tasks (image_id);

CREATE TABLE image_cached (
	id VARCHAR(36) NOT NULL,
	node VARCHAR(255) NOT NULL,
	image_id VARCHAR(36) NOT NULL,
	size_bytes BIGINT,
	hits INTEGER NOT NULL,
	accessed_at BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_image_cached PRIMARY KEY (id)
);

CREATE UNIQUE INDEX ix_image_cached_node_image_id ON image_cached (node, image_id);

CREATE TABLE image_metadef_namespaces (
	id VARCHAR(36) NOT NULL,
	namespace VARCHAR(80) NOT NULL,
	display_name VARCHAR(80),
	description TEXT,
	visibility VARCHAR(16) NOT NULL,
	protected BOOLEAN NOT NULL,
	project_id VARCHAR(255),
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	CONSTRAINT pk_image_metadef_namespaces PRIMARY KEY (id),
	CONSTRAINT uq_image_metadef_namespaces_namespace UNIQUE (namespace)
);

CREATE INDEX ix_image_metadef_namespaces_created_at_id ON image_metadef_namespaces (created_at, id);

CREATE TABLE image_metadef_resource_types (
	name VARCHAR(80) NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	CONSTRAINT pk_image_metadef_resource_types PRIMARY KEY (name)
);

CREATE TABLE placement_resource_providers (
	id VARCHAR(36) NOT NULL,
	name VARCHAR(200) NOT NULL,
	generation INTEGER NOT NULL,
	root_id VARCHAR(36) NOT NULL,
	parent_id VARCHAR(36),
	changed BIGINT NOT NULL,
	described BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	CONSTRAINT pk_placement_resource_providers PRIMARY KEY (id),
	CONSTRAINT uq_placement_resource_providers_name UNIQUE (name),
	CONSTRAINT fk_placement_resource_providers_parent_id FOREIGN KEY(parent_id) REFERENCES placement_resource_providers (id)
);

CREATE INDEX ix_placement_resource_providers_changed ON placement_resource_providers (changed);

CREATE INDEX ix_placement_resource_providers_parent_id ON placement_resource_providers (parent_id);

CREATE INDEX ix_placement_resource_providers_root_id ON placement_resource_providers (root_id);

CREATE TABLE placement_traits (
	name VARCHAR(255) NOT NULL,
	updated_at BIGINT NOT NULL,
	CONSTRAINT pk_placement_traits PRIMARY KEY (name)
);

CREATE TABLE placement_resource_classes (
	name VARCHAR(255) NOT NULL,
	updated_at BIGINT NOT NULL,
	CONSTRAINT pk_placement_resource_classes PRIMARY KEY (name)
);

CREATE TABLE placement_consumers (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(255) NOT NULL,
	user_id VARCHAR(255) NOT NULL,
	type VARCHAR(255),
	generation INTEGER NOT NULL,
	CONSTRAINT pk_placement_consumers PRIMARY KEY (id)
);

CREATE INDEX ix_placement_consumers_project_id ON placement_consumers (project_id);

CREATE TABLE placement_ticks (
	id SERIAL NOT NULL,
	last BIGINT NOT NULL,
	CONSTRAINT pk_placement_ticks PRIMARY KEY (id)
);

CREATE TABLE network_networks (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	description VARCHAR(255) NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	tags TEXT NOT NULL,
	name VARCHAR(255) NOT NULL,
	admin_state_up BOOLEAN NOT NULL,
	status VARCHAR(16) NOT NULL,
	realized BOOLEAN NOT NULL,
	shared BOOLEAN NOT NULL,
	external BOOLEAN NOT NULL,
	is_default BOOLEAN NOT NULL,
	port_security_enabled BOOLEAN NOT NULL,
	mtu INTEGER NOT NULL,
	dns_domain VARCHAR(255) NOT NULL,
	network_type VARCHAR(32) NOT NULL,
	physical_network VARCHAR(64),
	segmentation_id INTEGER,
	availability_zone_hints TEXT NOT NULL,
	CONSTRAINT pk_network_networks PRIMARY KEY (id)
);

CREATE INDEX ix_network_networks_project_id ON network_networks (project_id);

CREATE TABLE network_subnet_pools (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	description VARCHAR(255) NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	tags TEXT NOT NULL,
	name VARCHAR(255) NOT NULL,
	ip_version INTEGER NOT NULL,
	prefixes TEXT NOT NULL,
	min_prefixlen INTEGER NOT NULL,
	max_prefixlen INTEGER NOT NULL,
	default_prefixlen INTEGER NOT NULL,
	default_quota INTEGER,
	shared BOOLEAN NOT NULL,
	is_default BOOLEAN NOT NULL,
	CONSTRAINT pk_network_subnet_pools PRIMARY KEY (id)
);

CREATE INDEX ix_network_subnet_pools_project_id ON network_subnet_pools (project_id);

CREATE TABLE network_security_groups (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	description VARCHAR(255) NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	tags TEXT NOT NULL,
	name VARCHAR(255) NOT NULL,
	stateful BOOLEAN NOT NULL,
	shared BOOLEAN NOT NULL,
	realized BOOLEAN NOT NULL,
	default_of VARCHAR(64),
	CONSTRAINT pk_network_security_groups PRIMARY KEY (id),
	CONSTRAINT uq_network_security_groups_default_of UNIQUE (default_of)
);

CREATE INDEX ix_network_security_groups_project_id ON network_security_groups (project_id);

CREATE TABLE network_agents (
	id VARCHAR(36) NOT NULL,
	host VARCHAR(255) NOT NULL,
	agent_type VARCHAR(64) NOT NULL,
	"binary" VARCHAR(64) NOT NULL,
	availability_zone VARCHAR(64) NOT NULL,
	admin_state_up BOOLEAN NOT NULL,
	description VARCHAR(255) NOT NULL,
	configurations TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	started_at BIGINT NOT NULL,
	heartbeat_at BIGINT NOT NULL,
	CONSTRAINT pk_network_agents PRIMARY KEY (id)
);

CREATE TABLE compute_flavors (
	id VARCHAR(255) NOT NULL,
	name VARCHAR(255) NOT NULL,
	vcpus INTEGER NOT NULL,
	memory_mib INTEGER NOT NULL,
	root_gib INTEGER NOT NULL,
	ephemeral_gib INTEGER NOT NULL,
	swap_mib INTEGER NOT NULL,
	rxtx_factor FLOAT NOT NULL,
	is_public BOOLEAN NOT NULL,
	description TEXT,
	extra_specs TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_compute_flavors PRIMARY KEY (id),
	CONSTRAINT uq_compute_flavors_name UNIQUE (name)
);

CREATE TABLE compute_keypairs (
	id SERIAL NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	name VARCHAR(255) NOT NULL,
	type VARCHAR(16) NOT NULL,
	public_key TEXT NOT NULL,
	fingerprint VARCHAR(255) NOT NULL,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_compute_keypairs PRIMARY KEY (id),
	CONSTRAINT uq_compute_keypairs_user_id_name UNIQUE (user_id, name)
);

CREATE TABLE compute_server_groups (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	name VARCHAR(255) NOT NULL,
	policy VARCHAR(32) NOT NULL,
	rules TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_compute_server_groups PRIMARY KEY (id)
);

CREATE INDEX ix_compute_server_groups_project_id ON compute_server_groups (project_id);

CREATE TABLE compute_servers (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	name VARCHAR(255) NOT NULL,
	description VARCHAR(255),
	hostname VARCHAR(255) NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	launched_at BIGINT,
	deleted_at BIGINT,
	vm_state VARCHAR(16) NOT NULL,
	task_state VARCHAR(32),
	task_since BIGINT,
	power_state INTEGER NOT NULL,
	fault TEXT,
	locked_by VARCHAR(8),
	locked_reason VARCHAR(255),
	flavor TEXT NOT NULL,
	flavor_id VARCHAR(255) NOT NULL,
	vcpus INTEGER NOT NULL,
	memory_mib INTEGER NOT NULL,
	disk_gib INTEGER NOT NULL,
	image_id VARCHAR(36) NOT NULL,
	image TEXT NOT NULL,
	key_name VARCHAR(255),
	key_type VARCHAR(16),
	public_key TEXT,
	user_data TEXT,
	personality TEXT,
	password TEXT,
	config_drive BOOLEAN NOT NULL,
	metadata TEXT NOT NULL,
	tags TEXT NOT NULL,
	trusted_certificates TEXT,
	access_ip_v4 VARCHAR(39) NOT NULL,
	access_ip_v6 VARCHAR(39) NOT NULL,
	disk_config VARCHAR(8) NOT NULL,
	reservation_id VARCHAR(16) NOT NULL,
	launch_index INTEGER NOT NULL,
	scheduler_hints TEXT NOT NULL,
	group_id VARCHAR(36),
	pinned_zone VARCHAR(255),
	wanted_host VARCHAR(255),
	forced_host BOOLEAN NOT NULL,
	availability_zone VARCHAR(255),
	host VARCHAR(255),
	hypervisor VARCHAR(32),
	boot_id VARCHAR(64),
	networks TEXT NOT NULL,
	security_groups TEXT NOT NULL,
	nics TEXT NOT NULL,
	nics_plugged BOOLEAN NOT NULL,
	unseen INTEGER NOT NULL,
	addresses TEXT NOT NULL,
	CONSTRAINT pk_compute_servers PRIMARY KEY (id)
);

CREATE INDEX ix_compute_servers_all ON compute_servers (deleted_at, created_at, id);

CREATE INDEX ix_compute_servers_group_id ON compute_servers (group_id);

CREATE INDEX ix_compute_servers_host ON compute_servers (host);

CREATE INDEX ix_compute_servers_listed ON compute_servers (project_id, deleted_at, created_at, id);

CREATE INDEX ix_compute_servers_updated ON compute_servers (updated_at);

CREATE TABLE compute_server_actions (
	id SERIAL NOT NULL,
	server_id VARCHAR(36) NOT NULL,
	request_id VARCHAR(64) NOT NULL,
	action VARCHAR(64) NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	message VARCHAR(255),
	started_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	events TEXT NOT NULL,
	CONSTRAINT pk_compute_server_actions PRIMARY KEY (id)
);

CREATE INDEX ix_compute_server_actions_server ON compute_server_actions (server_id, request_id);

CREATE TABLE compute_snapshots (
	id VARCHAR(36) NOT NULL,
	image_id VARCHAR(36) NOT NULL,
	server_id VARCHAR(36) NOT NULL,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_compute_snapshots PRIMARY KEY (id)
);

CREATE TABLE compute_hosts (
	id VARCHAR(36) NOT NULL,
	number INTEGER NOT NULL,
	name VARCHAR(255) NOT NULL,
	hypervisor_type VARCHAR(32) NOT NULL,
	hypervisor_version INTEGER NOT NULL,
	hypervisors TEXT NOT NULL,
	vcpus INTEGER NOT NULL,
	memory_mib INTEGER NOT NULL,
	disk_gib INTEGER NOT NULL,
	cpu_info TEXT NOT NULL,
	host_ip VARCHAR(39) NOT NULL,
	started_at BIGINT,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_compute_hosts PRIMARY KEY (id),
	CONSTRAINT uq_compute_hosts_number UNIQUE (number),
	CONSTRAINT uq_compute_hosts_name UNIQUE (name)
);

CREATE TABLE compute_services (
	id VARCHAR(36) NOT NULL,
	number INTEGER NOT NULL,
	host VARCHAR(255) NOT NULL,
	"binary" VARCHAR(255) NOT NULL,
	disabled BOOLEAN NOT NULL,
	disabled_reason VARCHAR(255),
	forced_down BOOLEAN NOT NULL,
	seen_at BIGINT,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_compute_services PRIMARY KEY (id),
	CONSTRAINT uq_compute_services_host_binary UNIQUE (host, "binary"),
	CONSTRAINT uq_compute_services_number UNIQUE (number)
);

CREATE TABLE compute_aggregates (
	id SERIAL NOT NULL,
	uuid VARCHAR(36) NOT NULL,
	name VARCHAR(255) NOT NULL,
	metadata TEXT NOT NULL,
	hosts TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT,
	CONSTRAINT pk_compute_aggregates PRIMARY KEY (id),
	CONSTRAINT uq_compute_aggregates_name UNIQUE (name)
);

CREATE TABLE identity_users (
	id VARCHAR(64) NOT NULL,
	name VARCHAR(255) NOT NULL,
	domain_id VARCHAR(64) NOT NULL,
	default_project_id VARCHAR(64),
	enabled BOOLEAN NOT NULL,
	password_hash VARCHAR(255),
	password_changed_at BIGINT,
	password_expires_at BIGINT,
	password_self_service BOOLEAN NOT NULL,
	failed_auth_count INTEGER NOT NULL,
	failed_auth_at BIGINT,
	last_active_at BIGINT,
	options TEXT NOT NULL,
	extra TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	origin VARCHAR(16) DEFAULT 'local' NOT NULL,
	CONSTRAINT pk_identity_users PRIMARY KEY (id),
	CONSTRAINT fk_identity_users_domain_id FOREIGN KEY(domain_id) REFERENCES identity_projects (id)
);

CREATE INDEX ix_identity_users_domain_id_name ON identity_users (domain_id, name);

CREATE UNIQUE INDEX uq_identity_users_name ON identity_users (domain_id, name) WHERE origin != 'federated';

CREATE TABLE identity_groups (
	id VARCHAR(64) NOT NULL,
	name VARCHAR(255) NOT NULL,
	domain_id VARCHAR(64) NOT NULL,
	description TEXT NOT NULL,
	extra TEXT NOT NULL,
	CONSTRAINT pk_identity_groups PRIMARY KEY (id),
	CONSTRAINT uq_identity_groups_domain_id_name UNIQUE (domain_id, name),
	CONSTRAINT fk_identity_groups_domain_id FOREIGN KEY(domain_id) REFERENCES identity_projects (id)
);

CREATE TABLE identity_implied_roles (
	prior_role_id VARCHAR(64) NOT NULL,
	implied_role_id VARCHAR(64) NOT NULL,
	CONSTRAINT pk_identity_implied_roles PRIMARY KEY (prior_role_id, implied_role_id),
	CONSTRAINT fk_identity_implied_roles_prior_role_id FOREIGN KEY(prior_role_id) REFERENCES identity_roles (id) ON DELETE CASCADE,
	CONSTRAINT fk_identity_implied_roles_implied_role_id FOREIGN KEY(implied_role_id) REFERENCES identity_roles (id) ON DELETE CASCADE
);

CREATE TABLE identity_assignments (
	actor_kind VARCHAR(8) NOT NULL,
	actor_id VARCHAR(64) NOT NULL,
	target_kind VARCHAR(8) NOT NULL,
	target_id VARCHAR(64) NOT NULL,
	role_id VARCHAR(64) NOT NULL,
	inherited BOOLEAN NOT NULL,
	CONSTRAINT pk_identity_assignments PRIMARY KEY (actor_kind, actor_id, target_kind, target_id, role_id, inherited),
	CONSTRAINT fk_identity_assignments_role_id FOREIGN KEY(role_id) REFERENCES identity_roles (id) ON DELETE CASCADE
);

CREATE INDEX ix_identity_assignments_target_id ON identity_assignments (target_id);

CREATE TABLE identity_endpoints (
	id VARCHAR(64) NOT NULL,
	service_id VARCHAR(64) NOT NULL,
	interface VARCHAR(8) NOT NULL,
	region_id VARCHAR(255),
	url TEXT NOT NULL,
	enabled BOOLEAN NOT NULL,
	extra TEXT NOT NULL,
	CONSTRAINT pk_identity_endpoints PRIMARY KEY (id),
	CONSTRAINT fk_identity_endpoints_service_id FOREIGN KEY(service_id) REFERENCES identity_services (id) ON DELETE CASCADE,
	CONSTRAINT fk_identity_endpoints_region_id FOREIGN KEY(region_id) REFERENCES identity_regions (id)
);

CREATE INDEX ix_identity_endpoints_service_id ON identity_endpoints (service_id);

CREATE TABLE identity_providers (
	id VARCHAR(64) NOT NULL,
	domain_id VARCHAR(64) NOT NULL,
	enabled BOOLEAN NOT NULL,
	description TEXT,
	authorization_ttl INTEGER,
	CONSTRAINT pk_identity_providers PRIMARY KEY (id),
	CONSTRAINT fk_identity_providers_domain_id FOREIGN KEY(domain_id) REFERENCES identity_projects (id) ON DELETE CASCADE
);

CREATE INDEX ix_identity_providers_domain_id ON identity_providers (domain_id);

CREATE TABLE identity_directory_entries (
	public_id VARCHAR(64) NOT NULL,
	domain_id VARCHAR(64) NOT NULL,
	kind VARCHAR(8) NOT NULL,
	local_id VARCHAR(255) NOT NULL,
	dn TEXT NOT NULL,
	CONSTRAINT pk_identity_directory_entries PRIMARY KEY (public_id),
	CONSTRAINT fk_identity_directory_entries_domain_id FOREIGN KEY(domain_id) REFERENCES identity_projects (id) ON DELETE CASCADE
);

CREATE INDEX ix_identity_directory_entries_domain_id ON identity_directory_entries (domain_id);

CREATE TABLE identity_project_endpoint_groups (
	project_id VARCHAR(64) NOT NULL,
	endpoint_group_id VARCHAR(64) NOT NULL,
	CONSTRAINT pk_identity_project_endpoint_groups PRIMARY KEY (project_id, endpoint_group_id),
	CONSTRAINT fk_identity_project_endpoint_groups_project_id FOREIGN KEY(project_id) REFERENCES identity_projects (id) ON DELETE CASCADE,
	CONSTRAINT fk_identity_project_endpoint_groups_endpoint_group_id FOREIGN KEY(endpoint_group_id) REFERENCES identity_endpoint_groups (id) ON DELETE CASCADE
);

CREATE INDEX ix_identity_project_endpoint_groups_endpoint_group_id ON identity_project_endpoint_groups (endpoint_group_id);

CREATE TABLE identity_policy_associations (
	endpoint_id VARCHAR(64) NOT NULL,
	service_id VARCHAR(64) NOT NULL,
	region_id VARCHAR(255) NOT NULL,
	policy_id VARCHAR(64) NOT NULL,
	CONSTRAINT pk_identity_policy_associations PRIMARY KEY (endpoint_id, service_id, region_id),
	CONSTRAINT fk_identity_policy_associations_policy_id FOREIGN KEY(policy_id) REFERENCES identity_policies (id) ON DELETE CASCADE
);

CREATE INDEX ix_identity_policy_associations_policy_id ON identity_policy_associations (policy_id);

CREATE TABLE identity_registered_limits (
	id VARCHAR(64) NOT NULL,
	service_id VARCHAR(64) NOT NULL,
	region_key VARCHAR(255) NOT NULL,
	resource_name VARCHAR(255) NOT NULL,
	default_limit INTEGER NOT NULL,
	description TEXT,
	CONSTRAINT pk_identity_registered_limits PRIMARY KEY (id),
	CONSTRAINT uq_identity_registered_limits_service_id_region_key_res_cc6c UNIQUE (service_id, region_key, resource_name),
	CONSTRAINT fk_identity_registered_limits_service_id FOREIGN KEY(service_id) REFERENCES identity_services (id)
);

CREATE TABLE identity_domain_options (
	domain_id VARCHAR(64) NOT NULL,
	group_name VARCHAR(64) NOT NULL,
	option_name VARCHAR(64) NOT NULL,
	value TEXT,
	sensitive BOOLEAN NOT NULL,
	CONSTRAINT pk_identity_domain_options PRIMARY KEY (domain_id, group_name, option_name),
	CONSTRAINT fk_identity_domain_options_domain_id FOREIGN KEY(domain_id) REFERENCES identity_projects (id) ON DELETE CASCADE
);

CREATE TABLE image_tags (
	image_id VARCHAR(36) NOT NULL,
	tag VARCHAR(255) NOT NULL,
	CONSTRAINT pk_image_tags PRIMARY KEY (image_id, tag),
	CONSTRAINT fk_image_tags_image_id FOREIGN KEY(image_id) REFERENCES image_images (id) ON DELETE CASCADE
);

CREATE INDEX ix_image_tags_tag ON image_tags (tag);

CREATE TABLE image_properties (
	image_id VARCHAR(36) NOT NULL,
	name VARCHAR(255) NOT NULL,
	value TEXT NOT NULL,
	CONSTRAINT pk_image_properties PRIMARY KEY (image_id, name),
	CONSTRAINT fk_image_properties_image_id FOREIGN KEY(image_id) REFERENCES image_images (id) ON DELETE CASCADE
);

CREATE INDEX ix_image_properties_name_image_id ON image_properties (name, image_id);

CREATE TABLE image_members (
	image_id VARCHAR(36) NOT NULL,
	member_id VARCHAR(255) NOT NULL,
	status VARCHAR(16) NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	CONSTRAINT pk_image_members PRIMARY KEY (image_id, member_id),
	CONSTRAINT fk_image_members_image_id FOREIGN KEY(image_id) REFERENCES image_images (id) ON DELETE CASCADE
);

CREATE INDEX ix_image_members_member_id ON image_members (member_id);

CREATE TABLE image_metadef_items (
	namespace_id VARCHAR(36) NOT NULL,
	kind VARCHAR(16) NOT NULL,
	name VARCHAR(255) NOT NULL,
	body TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	CONSTRAINT pk_image_metadef_items PRIMARY KEY (namespace_id, kind, name),
	CONSTRAINT fk_image_metadef_items_namespace_id FOREIGN KEY(namespace_id) REFERENCES image_metadef_namespaces (id) ON DELETE CASCADE
);

CREATE TABLE image_metadef_associations (
	namespace_id VARCHAR(36) NOT NULL,
	name VARCHAR(80) NOT NULL,
	prefix VARCHAR(80),
	properties_target VARCHAR(80),
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	CONSTRAINT pk_image_metadef_associations PRIMARY KEY (namespace_id, name),
	CONSTRAINT fk_image_metadef_associations_namespace_id FOREIGN KEY(namespace_id) REFERENCES image_metadef_namespaces (id) ON DELETE CASCADE
);

CREATE TABLE placement_inventories (
	provider_id VARCHAR(36) NOT NULL,
	resource_class VARCHAR(255) NOT NULL,
	total INTEGER NOT NULL,
	reserved INTEGER NOT NULL,
	min_unit INTEGER NOT NULL,
	max_unit INTEGER NOT NULL,
	step_size INTEGER NOT NULL,
	allocation_ratio FLOAT(53) NOT NULL,
	updated_at BIGINT NOT NULL,
	CONSTRAINT pk_placement_inventories PRIMARY KEY (provider_id, resource_class),
	CONSTRAINT fk_placement_inventories_provider_id FOREIGN KEY(provider_id) REFERENCES placement_resource_providers (id) ON DELETE CASCADE
);

CREATE INDEX ix_placement_inventories_resource_class ON placement_inventories (resource_class);

CREATE TABLE placement_provider_traits (
	provider_id VARCHAR(36) NOT NULL,
	trait VARCHAR(255) NOT NULL,
	CONSTRAINT pk_placement_provider_traits PRIMARY KEY (provider_id, trait),
	CONSTRAINT fk_placement_provider_traits_provider_id FOREIGN KEY(provider_id) REFERENCES placement_resource_providers (id) ON DELETE CASCADE
);

CREATE INDEX ix_placement_provider_traits_trait ON placement_provider_traits (trait);

CREATE TABLE placement_provider_aggregates (
	provider_id VARCHAR(36) NOT NULL,
	aggregate_id VARCHAR(36) NOT NULL,
	CONSTRAINT pk_placement_provider_aggregates PRIMARY KEY (provider_id, aggregate_id),
	CONSTRAINT fk_placement_provider_aggregates_provider_id FOREIGN KEY(provider_id) REFERENCES placement_resource_providers (id) ON DELETE CASCADE
);

CREATE TABLE placement_allocations (
	consumer_id VARCHAR(36) NOT NULL,
	provider_id VARCHAR(36) NOT NULL,
	resource_class VARCHAR(255) NOT NULL,
	used INTEGER NOT NULL,
	updated_at BIGINT NOT NULL,
	CONSTRAINT pk_placement_allocations PRIMARY KEY (consumer_id, provider_id, resource_class),
	CONSTRAINT fk_placement_allocations_consumer_id FOREIGN KEY(consumer_id) REFERENCES placement_consumers (id) ON DELETE CASCADE,
	CONSTRAINT fk_placement_allocations_provider_id FOREIGN KEY(provider_id) REFERENCES placement_resource_providers (id)
);

CREATE INDEX ix_placement_allocations_provider_id_resource_class_used ON placement_allocations (provider_id, resource_class, used);

CREATE TABLE network_subnets (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	description VARCHAR(255) NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	tags TEXT NOT NULL,
	network_id VARCHAR(36) NOT NULL,
	name VARCHAR(255) NOT NULL,
	ip_version INTEGER NOT NULL,
	cidr VARCHAR(64) NOT NULL,
	subnetpool_id VARCHAR(36),
	gateway_ip VARCHAR(64),
	enable_dhcp BOOLEAN NOT NULL,
	ipv6_address_mode VARCHAR(16),
	ipv6_ra_mode VARCHAR(16),
	allocation_pools TEXT NOT NULL,
	dns_nameservers TEXT NOT NULL,
	host_routes TEXT NOT NULL,
	service_types TEXT NOT NULL,
	dns_publish_fixed_ip BOOLEAN NOT NULL,
	CONSTRAINT pk_network_subnets PRIMARY KEY (id),
	CONSTRAINT fk_network_subnets_network_id FOREIGN KEY(network_id) REFERENCES network_networks (id),
	CONSTRAINT fk_network_subnets_subnetpool_id FOREIGN KEY(subnetpool_id) REFERENCES network_subnet_pools (id)
);

CREATE INDEX ix_network_subnets_network_id ON network_subnets (network_id);

CREATE INDEX ix_network_subnets_project_id ON network_subnets (project_id);

CREATE INDEX ix_network_subnets_subnetpool_id ON network_subnets (subnetpool_id);

CREATE TABLE network_routers (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	description VARCHAR(255) NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	tags TEXT NOT NULL,
	name VARCHAR(255) NOT NULL,
	admin_state_up BOOLEAN NOT NULL,
	status VARCHAR(16) NOT NULL,
	gateway_network_id VARCHAR(36),
	enable_snat BOOLEAN NOT NULL,
	routes TEXT NOT NULL,
	availability_zone_hints TEXT NOT NULL,
	CONSTRAINT pk_network_routers PRIMARY KEY (id),
	CONSTRAINT fk_network_routers_gateway_network_id FOREIGN KEY(gateway_network_id) REFERENCES network_networks (id)
);

CREATE INDEX ix_network_routers_gateway_network_id ON network_routers (gateway_network_id);

CREATE INDEX ix_network_routers_project_id ON network_routers (project_id);

CREATE TABLE network_security_group_rules (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	description VARCHAR(255) NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	security_group_id VARCHAR(36) NOT NULL,
	direction VARCHAR(8) NOT NULL,
	ethertype VARCHAR(8) NOT NULL,
	protocol VARCHAR(40),
	port_range_min INTEGER,
	port_range_max INTEGER,
	remote_ip_prefix VARCHAR(64),
	remote_group_id VARCHAR(36),
	identity TEXT NOT NULL,
	CONSTRAINT pk_network_security_group_rules PRIMARY KEY (id),
	CONSTRAINT fk_network_security_group_rules_security_group_id FOREIGN KEY(security_group_id) REFERENCES network_security_groups (id),
	CONSTRAINT fk_network_security_group_rules_remote_group_id FOREIGN KEY(remote_group_id) REFERENCES network_security_groups (id)
);

CREATE INDEX ix_network_security_group_rules_project_id ON network_security_group_rules (project_id);

CREATE INDEX ix_network_security_group_rules_remote_group_id ON network_security_group_rules (remote_group_id);

CREATE INDEX ix_network_security_group_rules_security_group_id ON network_security_group_rules (security_group_id);

CREATE UNIQUE INDEX ix_network_security_group_rules_security_group_id_identity ON network_security_group_rules (security_group_id, identity);

CREATE TABLE compute_flavor_access (
	flavor_id VARCHAR(255) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	CONSTRAINT pk_compute_flavor_access PRIMARY KEY (flavor_id, project_id),
	CONSTRAINT fk_compute_flavor_access_flavor_id FOREIGN KEY(flavor_id) REFERENCES compute_flavors (id) ON DELETE CASCADE
);

CREATE TABLE identity_old_passwords (
	seq SERIAL NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	password_hash VARCHAR(255) NOT NULL,
	CONSTRAINT pk_identity_old_passwords PRIMARY KEY (seq),
	CONSTRAINT fk_identity_old_passwords_user_id FOREIGN KEY(user_id) REFERENCES identity_users (id) ON DELETE CASCADE
);

CREATE INDEX ix_identity_old_passwords_user_id ON identity_old_passwords (user_id);

CREATE TABLE identity_memberships (
	group_id VARCHAR(64) NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	CONSTRAINT pk_identity_memberships PRIMARY KEY (group_id, user_id),
	CONSTRAINT fk_identity_memberships_group_id FOREIGN KEY(group_id) REFERENCES identity_groups (id) ON DELETE CASCADE,
	CONSTRAINT fk_identity_memberships_user_id FOREIGN KEY(user_id) REFERENCES identity_users (id) ON DELETE CASCADE
);

CREATE INDEX ix_identity_memberships_user_id ON identity_memberships (user_id);

CREATE TABLE identity_provider_remote_ids (
	remote_id VARCHAR(255) NOT NULL,
	idp_id VARCHAR(64) NOT NULL,
	CONSTRAINT pk_identity_provider_remote_ids PRIMARY KEY (remote_id),
	CONSTRAINT fk_identity_provider_remote_ids_idp_id FOREIGN KEY(idp_id) REFERENCES identity_providers (id) ON DELETE CASCADE
);

CREATE INDEX ix_identity_provider_remote_ids_idp_id ON identity_provider_remote_ids (idp_id);

CREATE TABLE identity_protocols (
	idp_id VARCHAR(64) NOT NULL,
	id VARCHAR(64) NOT NULL,
	mapping_id VARCHAR(64) NOT NULL,
	remote_id_attribute VARCHAR(64),
	CONSTRAINT pk_identity_protocols PRIMARY KEY (idp_id, id),
	CONSTRAINT fk_identity_protocols_idp_id FOREIGN KEY(idp_id) REFERENCES identity_providers (id) ON DELETE CASCADE
);

CREATE TABLE identity_expiring_memberships (
	user_id VARCHAR(64) NOT NULL,
	group_id VARCHAR(64) NOT NULL,
	idp_id VARCHAR(64) NOT NULL,
	expires_at BIGINT NOT NULL,
	CONSTRAINT pk_identity_expiring_memberships PRIMARY KEY (user_id, group_id, idp_id),
	CONSTRAINT fk_identity_expiring_memberships_user_id FOREIGN KEY(user_id) REFERENCES identity_users (id) ON DELETE CASCADE,
	CONSTRAINT fk_identity_expiring_memberships_group_id FOREIGN KEY(group_id) REFERENCES identity_groups (id) ON DELETE CASCADE,
	CONSTRAINT fk_identity_expiring_memberships_idp_id FOREIGN KEY(idp_id) REFERENCES identity_providers (id) ON DELETE CASCADE
);

CREATE TABLE identity_oidc_grants (
	id VARCHAR(64) NOT NULL,
	user_code VARCHAR(16),
	client_id VARCHAR(255) NOT NULL,
	user_id VARCHAR(64),
	request TEXT NOT NULL,
	expires_at BIGINT NOT NULL,
	CONSTRAINT pk_identity_oidc_grants PRIMARY KEY (id),
	CONSTRAINT uq_identity_oidc_grants_user_code UNIQUE (user_code),
	CONSTRAINT fk_identity_oidc_grants_user_id FOREIGN KEY(user_id) REFERENCES identity_users (id) ON DELETE CASCADE
);

CREATE INDEX ix_identity_oidc_grants_expires_at ON identity_oidc_grants (expires_at);

CREATE TABLE identity_project_endpoints (
	project_id VARCHAR(64) NOT NULL,
	endpoint_id VARCHAR(64) NOT NULL,
	CONSTRAINT pk_identity_project_endpoints PRIMARY KEY (project_id, endpoint_id),
	CONSTRAINT fk_identity_project_endpoints_project_id FOREIGN KEY(project_id) REFERENCES identity_projects (id) ON DELETE CASCADE,
	CONSTRAINT fk_identity_project_endpoints_endpoint_id FOREIGN KEY(endpoint_id) REFERENCES identity_endpoints (id) ON DELETE CASCADE
);

CREATE INDEX ix_identity_project_endpoints_endpoint_id ON identity_project_endpoints (endpoint_id);

CREATE TABLE identity_limits (
	id VARCHAR(64) NOT NULL,
	registered_limit_id VARCHAR(64) NOT NULL,
	project_id VARCHAR(64),
	domain_id VARCHAR(64),
	owner_id VARCHAR(64) NOT NULL,
	service_id VARCHAR(64) NOT NULL,
	region_key VARCHAR(255) NOT NULL,
	resource_name VARCHAR(255) NOT NULL,
	resource_limit INTEGER NOT NULL,
	description TEXT,
	CONSTRAINT pk_identity_limits PRIMARY KEY (id),
	CONSTRAINT uq_identity_limits_registered_limit_id_owner_id UNIQUE (registered_limit_id, owner_id),
	CONSTRAINT fk_identity_limits_registered_limit_id FOREIGN KEY(registered_limit_id) REFERENCES identity_registered_limits (id)
);

CREATE INDEX ix_identity_limits_domain_id ON identity_limits (domain_id);

CREATE INDEX ix_identity_limits_project_id ON identity_limits (project_id);

CREATE TABLE identity_application_credentials (
	id VARCHAR(64) NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	project_id VARCHAR(64),
	name VARCHAR(255) NOT NULL,
	description TEXT,
	secret_hash VARCHAR(255) NOT NULL,
	expires_at BIGINT,
	unrestricted BOOLEAN NOT NULL,
	role_ids TEXT NOT NULL,
	access_rule_ids TEXT,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_identity_application_credentials PRIMARY KEY (id),
	CONSTRAINT uq_identity_application_credentials_user_id_name UNIQUE (user_id, name),
	CONSTRAINT fk_identity_application_credentials_user_id FOREIGN KEY(user_id) REFERENCES identity_users (id) ON DELETE CASCADE,
	CONSTRAINT fk_identity_application_credentials_project_id FOREIGN KEY(project_id) REFERENCES identity_projects (id) ON DELETE CASCADE
);

CREATE INDEX ix_identity_application_credentials_project_id ON identity_application_credentials (project_id);

CREATE INDEX ix_identity_application_credentials_user_id ON identity_application_credentials (user_id);

CREATE TABLE identity_access_rules (
	id VARCHAR(64) NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	service VARCHAR(255) NOT NULL,
	path VARCHAR(255) NOT NULL,
	method VARCHAR(16) NOT NULL,
	CONSTRAINT pk_identity_access_rules PRIMARY KEY (id),
	CONSTRAINT uq_identity_access_rules_user_id_service_path_method UNIQUE (user_id, service, path, method),
	CONSTRAINT fk_identity_access_rules_user_id FOREIGN KEY(user_id) REFERENCES identity_users (id) ON DELETE CASCADE
);

CREATE INDEX ix_identity_access_rules_user_id ON identity_access_rules (user_id);

CREATE TABLE identity_trusts (
	id VARCHAR(64) NOT NULL,
	trustor_user_id VARCHAR(64) NOT NULL,
	trustee_user_id VARCHAR(64) NOT NULL,
	project_id VARCHAR(64),
	impersonation BOOLEAN NOT NULL,
	role_ids TEXT NOT NULL,
	expires_at BIGINT,
	remaining_uses INTEGER,
	redelegated_trust_id VARCHAR(64),
	redelegation_count INTEGER NOT NULL,
	extra TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_identity_trusts PRIMARY KEY (id),
	CONSTRAINT fk_identity_trusts_trustor_user_id FOREIGN KEY(trustor_user_id) REFERENCES identity_users (id) ON DELETE CASCADE,
	CONSTRAINT fk_identity_trusts_trustee_user_id FOREIGN KEY(trustee_user_id) REFERENCES identity_users (id) ON DELETE CASCADE,
	CONSTRAINT fk_identity_trusts_project_id FOREIGN KEY(project_id) REFERENCES identity_projects (id) ON DELETE CASCADE,
	CONSTRAINT fk_identity_trusts_redelegated_trust_id FOREIGN KEY(redelegated_trust_id) REFERENCES identity_trusts (id) ON DELETE CASCADE
);

CREATE INDEX ix_identity_trusts_project_id ON identity_trusts (project_id);

CREATE INDEX ix_identity_trusts_redelegated_trust_id ON identity_trusts (redelegated_trust_id);

CREATE INDEX ix_identity_trusts_trustee_user_id ON identity_trusts (trustee_user_id);

CREATE INDEX ix_identity_trusts_trustor_user_id ON identity_trusts (trustor_user_id);

CREATE TABLE identity_oauth_request_tokens (
	id VARCHAR(64) NOT NULL,
	consumer_id VARCHAR(64) NOT NULL,
	encrypted_secret TEXT NOT NULL,
	requested_project_id VARCHAR(64) NOT NULL,
	verifier VARCHAR(64),
	authorizing_user_id VARCHAR(64),
	role_ids TEXT,
	expires_at BIGINT,
	CONSTRAINT pk_identity_oauth_request_tokens PRIMARY KEY (id),
	CONSTRAINT fk_identity_oauth_request_tokens_consumer_id FOREIGN KEY(consumer_id) REFERENCES identity_oauth_consumers (id) ON DELETE CASCADE,
	CONSTRAINT fk_identity_oauth_request_tokens_authorizing_user_id FOREIGN KEY(authorizing_user_id) REFERENCES identity_users (id) ON DELETE CASCADE
);

CREATE INDEX ix_identity_oauth_request_tokens_consumer_id ON identity_oauth_request_tokens (consumer_id);

CREATE TABLE identity_oauth_access_tokens (
	id VARCHAR(64) NOT NULL,
	consumer_id VARCHAR(64) NOT NULL,
	authorizing_user_id VARCHAR(64) NOT NULL,
	encrypted_secret TEXT NOT NULL,
	project_id VARCHAR(64),
	role_ids TEXT NOT NULL,
	expires_at BIGINT,
	CONSTRAINT pk_identity_oauth_access_tokens PRIMARY KEY (id),
	CONSTRAINT fk_identity_oauth_access_tokens_consumer_id FOREIGN KEY(consumer_id) REFERENCES identity_oauth_consumers (id) ON DELETE CASCADE,
	CONSTRAINT fk_identity_oauth_access_tokens_authorizing_user_id FOREIGN KEY(authorizing_user_id) REFERENCES identity_users (id) ON DELETE CASCADE,
	CONSTRAINT fk_identity_oauth_access_tokens_project_id FOREIGN KEY(project_id) REFERENCES identity_projects (id) ON DELETE CASCADE
);

CREATE INDEX ix_identity_oauth_access_tokens_authorizing_user_id ON identity_oauth_access_tokens (authorizing_user_id);

CREATE INDEX ix_identity_oauth_access_tokens_consumer_id ON identity_oauth_access_tokens (consumer_id);

CREATE INDEX ix_identity_oauth_access_tokens_project_id ON identity_oauth_access_tokens (project_id);

CREATE TABLE network_ports (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	description VARCHAR(255) NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	tags TEXT NOT NULL,
	network_id VARCHAR(36) NOT NULL,
	name VARCHAR(255) NOT NULL,
	admin_state_up BOOLEAN NOT NULL,
	status VARCHAR(16) NOT NULL,
	realized BOOLEAN NOT NULL,
	mac_address VARCHAR(17) NOT NULL,
	device_id VARCHAR(255) NOT NULL,
	device_owner VARCHAR(255) NOT NULL,
	router_id VARCHAR(36),
	fixed_ips TEXT NOT NULL,
	security_group_ids TEXT NOT NULL,
	allowed_address_pairs TEXT NOT NULL,
	extra_dhcp_opts TEXT NOT NULL,
	port_security_enabled BOOLEAN NOT NULL,
	host VARCHAR(255) NOT NULL,
	vnic_type VARCHAR(32) NOT NULL,
	vif_type VARCHAR(32) NOT NULL,
	vif_details TEXT NOT NULL,
	profile TEXT NOT NULL,
	dns_name VARCHAR(255) NOT NULL,
	dns_domain VARCHAR(255) NOT NULL,
	untold INTEGER NOT NULL,
	CONSTRAINT pk_network_ports PRIMARY KEY (id),
	CONSTRAINT fk_network_ports_network_id FOREIGN KEY(network_id) REFERENCES network_networks (id),
	CONSTRAINT fk_network_ports_router_id FOREIGN KEY(router_id) REFERENCES network_routers (id)
);

CREATE INDEX ix_network_ports_device_id ON network_ports (device_id);

CREATE INDEX ix_network_ports_mac_address ON network_ports (mac_address);

CREATE INDEX ix_network_ports_project_id ON network_ports (project_id);

CREATE INDEX ix_network_ports_router_id ON network_ports (router_id);

CREATE UNIQUE INDEX ix_network_ports_network_id_mac_address ON network_ports (network_id, mac_address);

CREATE TABLE identity_federated_users (
	idp_id VARCHAR(64) NOT NULL,
	protocol_id VARCHAR(64) NOT NULL,
	unique_id VARCHAR(255) NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	CONSTRAINT pk_identity_federated_users PRIMARY KEY (idp_id, protocol_id, unique_id),
	CONSTRAINT fk_identity_federated_users_idp_id_protocol_id FOREIGN KEY(idp_id, protocol_id) REFERENCES identity_protocols (idp_id, id) ON DELETE CASCADE,
	CONSTRAINT fk_identity_federated_users_user_id FOREIGN KEY(user_id) REFERENCES identity_users (id) ON DELETE CASCADE
);

CREATE INDEX ix_identity_federated_users_user_id ON identity_federated_users (user_id);

CREATE TABLE network_addresses (
	subnet_id VARCHAR(36) NOT NULL,
	ip_address VARCHAR(64) NOT NULL,
	port_id VARCHAR(36) NOT NULL,
	CONSTRAINT pk_network_addresses PRIMARY KEY (subnet_id, ip_address),
	CONSTRAINT fk_network_addresses_subnet_id FOREIGN KEY(subnet_id) REFERENCES network_subnets (id),
	CONSTRAINT fk_network_addresses_port_id FOREIGN KEY(port_id) REFERENCES network_ports (id)
);

CREATE INDEX ix_network_addresses_ip_address ON network_addresses (ip_address);

CREATE INDEX ix_network_addresses_port_id ON network_addresses (port_id);

CREATE TABLE network_port_security_groups (
	port_id VARCHAR(36) NOT NULL,
	security_group_id VARCHAR(36) NOT NULL,
	CONSTRAINT pk_network_port_security_groups PRIMARY KEY (port_id, security_group_id),
	CONSTRAINT fk_network_port_security_groups_port_id FOREIGN KEY(port_id) REFERENCES network_ports (id),
	CONSTRAINT fk_network_port_security_groups_security_group_id FOREIGN KEY(security_group_id) REFERENCES network_security_groups (id)
);

CREATE INDEX ix_network_port_security_groups_security_group_id ON network_port_security_groups (security_group_id);

CREATE TABLE network_floating_ips (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(64) NOT NULL,
	description VARCHAR(255) NOT NULL,
	revision_number INTEGER NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	tags TEXT NOT NULL,
	floating_network_id VARCHAR(36) NOT NULL,
	floating_ip_address VARCHAR(64) NOT NULL,
	floating_port_id VARCHAR(36) NOT NULL,
	port_id VARCHAR(36),
	fixed_ip_address VARCHAR(64),
	router_id VARCHAR(36),
	status VARCHAR(16) NOT NULL,
	dns_name VARCHAR(255) NOT NULL,
	dns_domain VARCHAR(255) NOT NULL,
	CONSTRAINT pk_network_floating_ips PRIMARY KEY (id),
	CONSTRAINT fk_network_floating_ips_floating_network_id FOREIGN KEY(floating_network_id) REFERENCES network_networks (id),
	CONSTRAINT uq_network_floating_ips_floating_port_id UNIQUE (floating_port_id),
	CONSTRAINT fk_network_floating_ips_floating_port_id FOREIGN KEY(floating_port_id) REFERENCES network_ports (id),
	CONSTRAINT fk_network_floating_ips_port_id FOREIGN KEY(port_id) REFERENCES network_ports (id),
	CONSTRAINT fk_network_floating_ips_router_id FOREIGN KEY(router_id) REFERENCES network_routers (id)
);

CREATE INDEX ix_network_floating_ips_floating_ip_address ON network_floating_ips (floating_ip_address);

CREATE INDEX ix_network_floating_ips_floating_network_id ON network_floating_ips (floating_network_id);

CREATE INDEX ix_network_floating_ips_project_id ON network_floating_ips (project_id);

CREATE INDEX ix_network_floating_ips_router_id ON network_floating_ips (router_id);

CREATE UNIQUE INDEX ix_network_floating_ips_port_id_fixed_ip_address ON network_floating_ips (port_id, fixed_ip_address);

CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL PRIMARY KEY
);

INSERT INTO alembic_version (version_num) VALUES ('0001');
