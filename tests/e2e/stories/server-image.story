# An image made of a server, and a server made of that image.
@ disk what a guest would start from
$ openstack image create --disk-format raw --container-format bare --min-disk 1 --property os_distro=plan9 --file {disk} base -f value -c status
active
$ openstack flavor create --ram 64 --disk 1 nano -f value -c name
nano
$ openstack server create --os-compute-api-version 2.37 --image base --flavor nano --nic none --wait web -f value -c status
*ACTIVE*
$ openstack server show web -f value -c id > web
$ openstack image show base -f value -c id > base
$ openstack server image create --name copy --property kind=spare --wait web -f value -c name -c status
*copy
active
$ openstack image show copy -f value -c status -c visibility -c min_disk
1
active
private
$ openstack image show copy -f value -c properties
*'image_type': 'snapshot'*
# What is known of the image that the server came from is known of the copy.
$ openstack image list --property instance_uuid={web} -f value -c Name
copy
$ openstack image list --property base_image_ref={base} --property kind=spare -f value -c Name
copy
$ openstack image list --property os_distro=plan9 -f value -c Name
base
copy
# Without a name it is called like the server.
$ openstack server image create --wait web -f value -c name
*web
$ openstack server show web -f value -c status
ACTIVE
$ openstack server create --os-compute-api-version 2.37 --image copy --flavor nano --nic none --wait again -f value -c status
*ACTIVE*
! openstack server image create --name more nowhere
*nowhere*
$ openstack server delete --wait web again
$ openstack image show copy -f value -c status
active
$ openstack image delete copy base web
$ openstack flavor delete nano
