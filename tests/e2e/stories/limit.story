# Unified limits: what a service registers, and what one project has instead.
$ openstack service create --name printer printer -f value -c id > printer
$ openstack registered limit create --service printer --default-limit 10 --description "Sheets a day" sheets -f value -c id > sheets
$ openstack registered limit list --service printer -f value -c "Resource Name" -c "Default Limit"
sheets 10
$ openstack registered limit set --default-limit 20 {sheets} -f value -c default_limit
20
$ openstack registered limit show {sheets} -f value -c default_limit -c description
20
Sheets a day
$ openstack project create office -f value -c id > office
$ openstack limit create --project office --service printer --resource-limit 5 sheets -f value -c id > limit
! openstack limit create --project office --service printer --resource-limit 6 sheets
*Conflict*
! openstack limit create --project office --service printer --resource-limit 6 ink
*no corresponding registered limit*
$ openstack limit list --project office -f value -c "Resource Name" -c "Resource Limit"
sheets 5
$ openstack limit set --resource-limit 7 --description "Enough" {limit} -f value -c resource_limit
7
$ openstack limit show {limit} -f value -c description
Enough
! openstack registered limit delete {sheets}
*associated*
$ openstack limit delete {limit}
$ openstack registered limit delete {sheets}
$ openstack project delete office
$ openstack service delete printer
$ openstack registered limit list -f value -c ID
