# Regions, services and endpoints, the catalog that they make, and who sees which part of it.
$ openstack region create --description "Over there" west -f value -c region
west
$ openstack region create --parent-region west coast -f value -c parent_region
west
$ openstack region list --parent-region west -f value -c Region
coast
$ openstack region set --description "Right there" coast
$ openstack region show coast -f value -c description
Right there
$ openstack service create --name clock --description "Tells the time" clock -f value -c name -c type
clock
clock
$ openstack service set --description "Tells it well" clock
$ openstack service show clock -f value -c description
Tells it well
$ openstack service list -f value -c Name
$ openstack endpoint create --region coast clock public http://clock.example.com -f value -c id > endpoint
! openstack endpoint create --region nowhere clock public http://clock.example.com
*
$ openstack endpoint list --service clock --region coast --interface public -f value -c URL
http://clock.example.com
$ openstack endpoint set --url http://clock.example.com/v2 {endpoint}
$ openstack endpoint show {endpoint} -f value -c url -c interface
public
http://clock.example.com/v2
$ openstack catalog show clock -f value -c name
clock
$ openstack catalog list -f value -c Name
$ openstack project create tower -f value -c id
$ openstack role add --user admin --project tower member
$ openstack endpoint add project {endpoint} tower
$ openstack endpoint list --project tower -f value -c ID
{endpoint}
$ OS_PROJECT_NAME=tower openstack catalog list -f value -c Name
clock
$ openstack endpoint remove project {endpoint} tower
@ filters {"service_id": "none-yet", "interface": "public"}
@ admins {"interface": "admin"}
$ openstack endpoint group create --description "All that tells the time" clocks {filters} -f value -c name
clocks
$ openstack endpoint group set --name hands --filters {admins} clocks
$ openstack endpoint group show hands -f value -c filters
{'interface': 'admin'}
$ openstack endpoint group list -f value -c Name
hands
$ openstack endpoint group add project hands tower
$ openstack endpoint group list --project tower -f value -c Name
hands
$ openstack endpoint group remove project hands tower
$ openstack endpoint group delete hands
$ openstack project delete tower
$ openstack endpoint delete {endpoint}
$ openstack service delete clock
$ openstack region delete coast
$ openstack region delete west
! openstack region show west
No Region found for west
