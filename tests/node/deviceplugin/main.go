// A device plugin for the tests: it offers /dev/fuse to the kubelet, 8 times, under the
// name that is its argument. It registers once, so a test that restarts the kubelet
// starts it again.
package main

import (
	"context"
	"log"
	"net"
	"os"
	"path"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

type plugin struct {
	api.UnimplementedDevicePluginServer
}

func (plugin) GetDevicePluginOptions(context.Context, *api.Empty) (*api.DevicePluginOptions, error) {
	return &api.DevicePluginOptions{}, nil
}

func (plugin) ListAndWatch(_ *api.Empty, stream api.DevicePlugin_ListAndWatchServer) error {
	devices := &api.ListAndWatchResponse{}
	for n := range 8 {
		devices.Devices = append(devices.Devices, &api.Device{ID: strconv.Itoa(n), Health: api.Healthy})
	}
	if err := stream.Send(devices); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

func (plugin) Allocate(_ context.Context, requests *api.AllocateRequest) (*api.AllocateResponse, error) {
	response := &api.AllocateResponse{}
	for range requests.ContainerRequests {
		fuse := &api.DeviceSpec{HostPath: "/dev/fuse", ContainerPath: "/dev/fuse", Permissions: "rw"}
		response.ContainerResponses = append(response.ContainerResponses,
			&api.ContainerAllocateResponse{Devices: []*api.DeviceSpec{fuse}})
	}
	return response, nil
}

func main() {
	const socket = "tests.sock"
	_ = os.Remove(path.Join(api.DevicePluginPath, socket))
	listener, err := net.Listen("unix", path.Join(api.DevicePluginPath, socket))
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	api.RegisterDevicePluginServer(server, plugin{})
	go func() { log.Fatal(server.Serve(listener)) }()

	kubelet, err := grpc.NewClient("unix://"+api.KubeletSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	_, err = api.NewRegistrationClient(kubelet).Register(context.Background(),
		&api.RegisterRequest{Version: api.Version, Endpoint: socket, ResourceName: os.Args[1]})
	if err != nil {
		log.Fatal(err)
	}
	select {}
}
