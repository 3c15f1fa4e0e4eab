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

CREATE INDEX ix_events_tx_id_seq ON events (tx_id, seq);

CREATE INDEX ix_events_at ON events (at);

CREATE INDEX ix_events_project_id_tx_id_seq ON events (project_id, tx_id, seq);

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

CREATE TABLE image_images (
	id VARCHAR(36) NOT NULL,
	project_id VARCHAR(64),
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
	md5 VARCHAR(32),
	sha512 VARCHAR(128),
	tags TEXT NOT NULL,
	properties TEXT NOT NULL,
	upload_id VARCHAR(36),
	upload_until BIGINT,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	CONSTRAINT pk_image_images PRIMARY KEY (id)
);

CREATE INDEX ix_image_images_visibility_created_at ON image_images (visibility, created_at);

CREATE INDEX ix_image_images_project_id_created_at ON image_images (project_id, created_at);

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

CREATE TABLE identity_users (
	id VARCHAR(64) NOT NULL,
	name VARCHAR(255) NOT NULL,
	domain_id VARCHAR(64) NOT NULL,
	default_project_id VARCHAR(64),
	enabled BOOLEAN NOT NULL,
	password_hash VARCHAR(255),
	password_changed_at BIGINT,
	password_expires_at BIGINT,
	options TEXT NOT NULL,
	extra TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	CONSTRAINT pk_identity_users PRIMARY KEY (id),
	CONSTRAINT uq_identity_users_domain_id_name UNIQUE (domain_id, name),
	CONSTRAINT fk_identity_users_domain_id FOREIGN KEY(domain_id) REFERENCES identity_projects (id)
);

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

CREATE TABLE identity_memberships (
	group_id VARCHAR(64) NOT NULL,
	user_id VARCHAR(64) NOT NULL,
	CONSTRAINT pk_identity_memberships PRIMARY KEY (group_id, user_id),
	CONSTRAINT fk_identity_memberships_group_id FOREIGN KEY(group_id) REFERENCES identity_groups (id) ON DELETE CASCADE,
	CONSTRAINT fk_identity_memberships_user_id FOREIGN KEY(user_id) REFERENCES identity_users (id) ON DELETE CASCADE
);

CREATE INDEX ix_identity_memberships_user_id ON identity_memberships (user_id);

CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL PRIMARY KEY
);

INSERT INTO alembic_version (version_num) VALUES ('0001');
