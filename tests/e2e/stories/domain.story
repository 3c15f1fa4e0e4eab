# Domains: users and projects apart from all others.
$ openstack domain create --description "The north" north -f value -c name -c enabled
north
True
$ openstack domain show north -f value -c id > north
$ openstack domain list --sort-column Name -f value -c Name
Default
north
$ openstack project create --domain north igloo -f value -c domain_id
{north}
$ openstack user create --domain north --password secret nanook -f value -c domain_id
{north}
$ openstack project list --domain north -f value -c Name
igloo
$ openstack user list --domain north -f value -c Name
nanook
$ openstack role add --user nanook --user-domain north --domain north manager
$ OS_USERNAME=nanook OS_PASSWORD=secret OS_USER_DOMAIN_ID={north} OS_PROJECT_NAME= OS_DOMAIN_ID={north} openstack project list -f value -c Name
igloo
! openstack domain delete north
*disable*
$ openstack domain set --name arctic --description "Further north" --disable north
$ openstack domain show arctic -f value -c enabled -c description
False
Further north
$ openstack domain delete arctic
! openstack domain show arctic
No Domain found for arctic
